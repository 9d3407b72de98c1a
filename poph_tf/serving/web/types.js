// The types that the modules exchange; this file has no code.
// Times are in steps of the grid, which are sixteenths if `steps_per_quarter` is 4.

/** @typedef {{name: string, program: number, is_drum: boolean}} Track */

/**
 * @typedef {object} Note
 * @property {number} track index in the score's tracks
 * @property {number} pitch MIDI number
 * @property {number} start step
 * @property {number} duration steps, at least 1
 * @property {number} velocity 1 to 127
 */

/**
 * Music as the server reads and writes it.
 * @typedef {object} Score
 * @property {Track[]} tracks
 * @property {Note[]} notes
 * @property {number} num_steps
 * @property {number} steps_per_quarter
 * @property {string} metre such as 3/4
 * @property {number} tempo quarter notes per minute
 * @property {number} pickup steps before the first whole bar
 * @property {string} [key] as a file stated it, such as "D minor"
 * @property {{step: number, metre: string}[]} [metre_changes] further time signatures
 */

/**
 * A model on the server.
 * @typedef {object} Model
 * @property {string} name
 * @property {Track[]} tracks empty if all instruments are merged
 * @property {string[]} styles
 * @property {boolean} [form] whether it reads the form
 * @property {string[]} tasks
 * @property {number} min_pitch
 * @property {number} max_pitch
 * @property {number} [first_seed] seed of a piece whose beginning is part of the page
 */

/** Steps from `from` up to, but not including, `to`. @typedef {{from: number, to: number}} Range */

/** What the lasso encloses. @typedef {{track: number, start: number, end: number}} Area */

/**
 * The mixer settings of one part.
 * @typedef {object} Mix
 * @property {number} volume 0 to 1
 * @property {boolean} muted
 * @property {boolean} locked kept when the composer draws
 * @property {string} [role] the model's track for it, if the names do not tell
 */

/** @typedef {Record<string, string | number | boolean>} Settings */

/**
 * A piece that the server offers.
 * @typedef {object} Candidate
 * @property {Score} score as far as it has been drawn
 * @property {string} label
 */

/** What survives a reload. @typedef {object} Saved
 * @property {string} [name] name of the opened file
 * @property {Score} score
 * @property {Mix[]} mix of the parts in order
 * @property {Settings} settings
 * @property {Candidate[]} candidates
 * @property {string} model
 */

export {};
