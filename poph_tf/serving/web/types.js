// The shapes of what the modules hand to each other; there is no code in this file.
// Times are in steps of the grid, sixteenths where `steps_per_quarter` is 4.

/** @typedef {{name: string, program: number, is_drum: boolean}} Track */

/**
 * @typedef {object} Note
 * @property {number} track place in the score's tracks
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
 * @property {number} tempo quarter notes a minute
 * @property {number} pickup steps before the first whole bar
 * @property {string} [key] as a file stated it, such as "D minor"
 * @property {{step: number, metre: string}[]} [metre_changes] further time signatures
 */

/**
 * A model of the server.
 * @typedef {object} Model
 * @property {string} name
 * @property {Track[]} tracks none where all instruments are merged
 * @property {string[]} styles
 * @property {boolean} [form] whether it reads the form
 * @property {string[]} tasks
 * @property {number} min_pitch
 * @property {number} max_pitch
 * @property {number} [first_seed] of a piece whose beginning came with the page
 */

/** Steps from `from` up to, and without, `to`. @typedef {{from: number, to: number}} Range */

/** What the lasso holds. @typedef {{track: number, start: number, end: number}} Area */

/**
 * Of one part.
 * @typedef {object} Mix
 * @property {number} volume 0 to 1
 * @property {boolean} muted
 * @property {boolean} locked held when the composer draws
 * @property {string} [role] the model's track that it is, where the names do not tell
 */

/** @typedef {Record<string, string | number | boolean>} Settings */

/**
 * A piece that the server offers.
 * @typedef {object} Candidate
 * @property {Score} score as far as it is drawn
 * @property {string} label
 */

/** What is kept over a reload. @typedef {object} Saved
 * @property {string} [name] of the file that was opened
 * @property {Score} score
 * @property {Mix[]} mix of the parts in order
 * @property {Settings} settings
 * @property {Candidate[]} candidates
 * @property {string} model
 */

export {};
