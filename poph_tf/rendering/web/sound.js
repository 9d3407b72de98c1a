// Two players for a piece with the same interface: play(), pause(), seek(seconds),
// time(), duration and playing.

/** Plays the sound file that the page contains. */
class FilePlayer {
  constructor(piece) {
    this.audio = new Audio(piece.audio);
    this.audio.preload = "auto";
    this.duration = piece.steps * piece.secondsPerStep;
    this.audio.addEventListener("loadedmetadata", () => {
      if (isFinite(this.audio.duration)) this.duration = this.audio.duration;
    });
  }
  get playing() { return !this.audio.paused && !this.audio.ended; }
  play() {
    if (this.audio.ended) this.audio.currentTime = 0;
    return this.audio.play();
  }
  pause() { this.audio.pause(); }
  seek(seconds) { this.audio.currentTime = seconds; }
  time() { return this.audio.currentTime; }
}

/** Plays the notes: the studio's player with a fixed score. */
class NotePlayer {
  constructor(piece) {
    const notes = piece.notes.map(([start, end, pitch, velocity]) =>
      ({ track: 0, pitch, start, duration: end - start, velocity }));
    const tracks = [{ name: piece.title, program: 0, is_drum: false }];
    const grid = { num_steps: piece.steps, steps_per_quarter: 1, tempo: 60 / piece.secondsPerStep };
    const mix = [{ volume: 1, muted: false }];
    this.player = new Player({ shown: { tracks, notes, ...grid }, mix, range: null, on() {} });
    this.secondsPerStep = piece.secondsPerStep;
  }
  get duration() { return this.player.end * this.secondsPerStep; }
  get playing() { return this.player.playing; }
  play() {
    // One for all pieces of the page: browsers allow only a few.
    this.player.made = NotePlayer.synth ??= new Synth();
    return this.player.play();
  }
  pause() { this.player.pause(); }
  seek(seconds) { this.player.seek(seconds / this.secondsPerStep); }
  time() { return Math.max(0, this.player.position) * this.secondsPerStep; }
}
