// Two players of a piece with the same interface: play(), pause(), seek(seconds),
// time(), duration and playing.

/** Plays the sound file that the page holds. */
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

/** Plays the notes with WebAudio: a few decaying partials each, like plucked strings. */
class NotePlayer {
  constructor(piece) {
    this.notes = piece.notes.map(([start, end, pitch, velocity]) => ({
      start: start * piece.secondsPerStep,
      end: end * piece.secondsPerStep,
      hertz: 440 * 2 ** ((pitch - 69) / 12),
      gain: (velocity / 127) ** 1.5,
    }));
    this.duration = piece.steps * piece.secondsPerStep + 1;
    this.offset = 0;
    this.playing = false;
  }
  async play() {
    if (!NotePlayer.context) NotePlayer.context = new AudioContext();
    const context = NotePlayer.context;
    await context.resume();
    if (this.offset >= this.duration) this.offset = 0;
    this.out = context.createDynamicsCompressor();
    this.out.connect(context.destination);
    this.began = context.currentTime + 0.05 - this.offset;
    this.next = this.notes.findIndex((note) => note.end > this.offset);
    if (this.next < 0) this.next = this.notes.length;
    this.playing = true;
    this.timer = setInterval(() => this.schedule(), 60);
    this.schedule();
  }
  pause() {
    if (!this.playing) return;
    this.offset = this.time();
    this.playing = false;
    clearInterval(this.timer);
    this.out.disconnect();
  }
  seek(seconds) {
    const wasPlaying = this.playing;
    this.pause();
    this.offset = seconds;
    if (wasPlaying) this.play();
  }
  time() {
    if (!this.playing) return this.offset;
    const now = NotePlayer.context.currentTime - this.began;
    return Math.min(Math.max(now, this.offset), this.duration);
  }
  /** Schedules the notes of the next quarter of a second. */
  schedule() {
    if (this.time() >= this.duration) return this.pause();
    const until = NotePlayer.context.currentTime - this.began + 0.25;
    while (this.next < this.notes.length && this.notes[this.next].start < until) {
      const note = this.notes[this.next++];
      if (note.end > this.offset) this.strike(note);
    }
  }
  strike(note) {
    const context = NotePlayer.context;
    const start = this.began + Math.max(note.start, this.offset);
    const end = this.began + note.end;
    const envelope = context.createGain();
    const loudness = 0.16 * note.gain;
    envelope.gain.setValueAtTime(0, start);
    envelope.gain.linearRampToValueAtTime(loudness, start + 0.008);
    envelope.gain.setTargetAtTime(loudness * 0.25, start + 0.008, 0.6);
    envelope.gain.setTargetAtTime(0, end, 0.06);
    envelope.connect(this.out);
    for (const [multiple, share] of [[1, 1], [2, 0.45], [3, 0.18], [4, 0.08]]) {
      const tone = context.createOscillator();
      const level = context.createGain();
      tone.frequency.value = note.hertz * multiple;
      level.gain.value = share;
      tone.connect(level).connect(envelope);
      tone.start(start);
      tone.stop(end + 0.5);
    }
  }
}
