/** How loud a stream is, and how a connection has been: numbers drawn. Knows nothing of calls. */

const FALL = 0.02; // of a level, from one look to the next: slow enough to be seen

let context = null;

/** The one AudioContext of the page. It may be asleep until somebody clicks. */
export function audio() {
  context ??= new AudioContext();
  if (context.state === 'suspended') context.resume();
  return context;
}

/** From 0 (silence) to 1 (as loud as it gets), by a scale of 60 dB; it falls slowly. */
class Level {
  #level = 0;

  take(power) {
    const now = power > 0 ? Math.min(1, 1 + Math.log10(power) / 6) : 0;
    this.#level = Math.max(0, now, this.#level - FALL);
    return this.#level;
  }
}

/** Measures what comes from the other in a call: by what the receivers say of their last packets, so nothing has to end. */
export class HeardMeter {
  #call; #level = new Level();

  constructor(call) { this.#call = call; }

  level() {
    const heard = this.#call.pc?.getReceivers().flatMap((receiver) => receiver.getSynchronizationSources()) ?? [];
    return this.#level.take(Math.max(0, ...heard.map(({ audioLevel }) => audioLevel ?? 0)) ** 2);
  }
}

/**
 * Measures the microphone, until it is closed. In an AudioContext of its own, which ends with it: Chromium keeps the source,
 * and with it stream and track, for as long as its context is there, connected or not.
 */
export class MicrophoneMeter {
  #context = new AudioContext(); #analyser; #samples; #level = new Level();

  constructor(stream) {
    this.#analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
    this.#context.createMediaStreamSource(stream).connect(this.#analyser);
    this.#samples = new Float32Array(this.#analyser.fftSize);
  }

  level() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return this.#level.take(this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length);
  }

  close() { this.#context.close(); }
}

/** A ringing tone, for as long as nobody has answered: two notes for a user who is called, one for a user who calls. */
export class Bell {
  #clock;

  constructor(notes) {
    const strike = () => ring(notes);
    strike();
    this.#clock = setInterval(strike, 2400);
  }

  stop() { clearInterval(this.#clock); }
}

/** Play two notes to somebody who wants to know whether they are heard, by a speaker of that id. */
export async function playTone(speaker) {
  await audio().setSinkId?.(speaker).catch(() => {}); // it has gone: then by another
  ring([523, 784]);
}

function ring(notes) {
  const context = audio();
  notes.forEach((hz, nth) => {
    const at = context.currentTime + nth * 0.18;
    const [tone, loudness] = [new OscillatorNode(context, { frequency: hz }), new GainNode(context, { gain: 0 })];
    loudness.gain.linearRampToValueAtTime(0.08, at + 0.02);
    loudness.gain.exponentialRampToValueAtTime(0.0001, at + 0.6);
    tone.connect(loudness).connect(context.destination);
    tone.addEventListener('ended', () => loudness.disconnect());
    tone.start(at);
    tone.stop(at + 0.65);
  });
}

const SECONDS = 60;

/** The last minute of two series, drawn on a canvas with its latest value at the right. */
export class Plot {
  #canvas; #series = { rtt: [], jitter: [] };

  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw());
  }

  clear() {
    this.#series = { rtt: [], jitter: [] };
    this.draw();
  }

  add(values) {
    for (const [name, series] of Object.entries(this.#series)) {
      series.push(values[name]);
      if (series.length > SECONDS) series.shift();
    }
    this.draw();
  }

  draw() {
    const canvas = this.#canvas;
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    [canvas.width, canvas.height] = [width * scale, height * scale];
    const brush = canvas.getContext('2d');
    const style = getComputedStyle(canvas);
    brush.scale(scale, scale);
    const top = niceAbove(Math.max(1, ...Object.values(this.#series).flat().filter(Number.isFinite)));
    const y = (value) => height - 5 - (value / top) * (height - 20);
    brush.font = `10px ${style.fontFamily}`;
    brush.fillStyle = style.getPropertyValue('--soft');
    brush.strokeStyle = style.getPropertyValue('--line');
    for (const mark of [0, top / 2, top]) {
      brush.beginPath();
      brush.moveTo(0, y(mark) + 0.5);
      brush.lineTo(width, y(mark) + 0.5);
      brush.stroke();
      if (mark) brush.fillText(`${mark} ms`, 0, y(mark) - 3);
    }
    for (const [name, series] of Object.entries(this.#series)) {
      const x = (nth) => width - 4 - (series.length - 1 - nth) * ((width - 4) / (SECONDS - 1));
      brush.strokeStyle = brush.fillStyle = style.getPropertyValue(`--${name}`);
      brush.lineWidth = 2;
      brush.lineJoin = 'round';
      brush.beginPath();
      series.forEach((value, nth) => Number.isFinite(value) && brush.lineTo(x(nth), y(value)));
      brush.stroke();
      const latest = series.at(-1);
      if (!Number.isFinite(latest)) continue;
      brush.beginPath();
      brush.arc(x(series.length - 1), y(latest), 3, 0, 7);
      brush.fill();
    }
  }
}

/** The next of 1, 2, 5, 10, 20, ... that is not below. */
function niceAbove(value) {
  const ten = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * ten).find((nice) => nice >= value);
}
