/** What the sound passes through, and how well: path, figures, plot and the messages of a call. */

import { $ } from '/elements.js';
import { Plot } from '/meters.js';
import { Timeline } from '/timeline.js';
import { word } from '/words.js';

const ROOMY = matchMedia('(min-width: 1000px) and (min-height: 501px)'); // else it is folded until somebody wants it

export class Wire {
  #plot = new Plot($('plot'));
  #timeline = new Timeline($('timeline'));
  #isLast = false;

  constructor() {
    const fold = (isOpen) => {
      $('fold').setAttribute('aria-expanded', isOpen);
      $('wire').hidden = !isOpen;
    };
    $('fold').addEventListener('click', () => fold($('wire').hidden));
    ROOMY.addEventListener('change', () => fold(ROOMY.matches));
    fold(ROOMY.matches);
  }

  /** Begin to show another call: with `peer`, or, if that is empty, with everybody. */
  clear(peer) {
    this.#timeline.clear(peer);
    this.#plot.clear();
    this.#showPath('');
    for (const figure of ['rtt', 'jitter', 'lost']) $(figure).textContent = '–';
  }

  /** Add a `signal` event of the client. */
  add(signal, isNamed) { this.#timeline.add(signal, isNamed); }

  /** Say whether the call is over; its figures stay, to be looked at. */
  end(isOver) {
    this.#isLast = isOver && Boolean($('path-name').dataset.path);
    if (isOver) $('path').dataset.path = '';
    this.translate();
  }

  translate() {
    $('wire-title').dataset.word = this.#isLast ? 'lastConnection' : 'connection';
    $('wire-title').textContent = word($('wire-title').dataset.word);
    const { path } = $('path-name').dataset;
    $('path-name').textContent = path ? `${word(path)} (${path})` : '–';
  }

  /** Show the figures of these calls, of each the worst. */
  async draw(calls) {
    if (calls.length === 0) return;
    const all = await Promise.all(calls.map((call) => call.stats()));
    if (calls.some(({ state }) => state !== 'connected')) return; // it may be another's figures that are shown now
    const worst = (key) => Math.max(...all.map((stats) => stats[key] ?? NaN).filter(Number.isFinite));
    const [rtt, jitter] = [worst('rttMs'), worst('jitterMs')];
    const [received, lost] = ['received', 'lost'].map((key) => all.reduce((sum, stats) => sum + stats[key], 0));
    const path = ['relay', 'srflx', 'prflx', 'host'].find((type) => all.some((stats) => stats.path === type));
    const inMs = (value) => (Number.isFinite(value) ? `${value < 10 ? value.toFixed(1) : Math.round(value)} ms` : '–');
    $('rtt').textContent = inMs(rtt);
    $('jitter').textContent = inMs(jitter);
    $('lost').textContent = `${((100 * lost) / Math.max(1, received + lost)).toFixed(1)} %`;
    this.#showPath(path ?? '');
    this.#plot.add({ rtt, jitter });
  }

  #showPath(path) {
    $('path').dataset.path = $('path-name').dataset.path = path;
    this.translate();
  }
}
