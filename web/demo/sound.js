/**
 * What one is heard and hears with: a look at the microphone before anybody listens, which microphone and speaker, and
 * how loud. Before there is a client the microphone is opened here; from then on devices are tieline.js's to change.
 */

import { $, make, show, tell } from '/elements.js';
import { MicrophoneMeter, playTone } from '/meters.js';
import { word } from '/words.js';

const LOUD_ENOUGH = 0.25; // of a level: somebody speaks

/** Which sentence says why there is no microphone; null if it is not about that. */
export function microphoneTrouble(error) {
  const words = {
    NotAllowedError: 'micRefused', SecurityError: 'micRefused', NotFoundError: 'micMissing', OverconstrainedError: 'micMissing',
    NotReadableError: 'micTaken', AbortError: 'micTaken',
  };
  if (error?.reason === 'NO_MICROPHONE' || !navigator.mediaDevices) return 'needsHttps';
  return words[error?.name] ?? null;
}

export class Sound {
  volume = 1;
  #client = null;
  #microphone = ''; // chosen before there was a client
  #speaker = '';
  #stream = null; // opened for a look
  #meter = null;
  #calls = () => [];
  #wasHeard = false;

  /** `calls()` are those with whom one talks: each has a volume of its own. */
  constructor(calls) {
    this.#calls = calls;
    $('sound').addEventListener('close', () => this.#endLook());
    $('microphone').addEventListener('change', ({ target }) => this.#choose('microphone', target.value));
    $('speaker').addEventListener('change', ({ target }) => this.#choose('speaker', target.value));
    $('tone').addEventListener('click', () => playTone(this.#sink));
    $('volume').addEventListener('input', ({ target }) => {
      this.volume = target.value / 100;
      for (const call of this.#calls()) this.attend(call);
    });
    navigator.mediaDevices?.addEventListener?.('devicechange', () => $('sound').open && this.#list());
  }

  get #sink() { return this.#client?.devices.speaker ?? this.#speaker; }

  /** From now on devices are the client's. */
  async use(client) {
    this.#client = client;
    client.devices.addEventListener('switched', () => $('sound').open && this.#list());
    for (const [kind, id] of [['useMicrophone', this.#microphone], ['useSpeaker', this.#speaker]]) {
      if (id) await client.devices[kind](id).catch(() => {}); // it has gone meanwhile: then another
    }
  }

  /** Have a call as loud as was chosen. */
  attend(call) { call.volume = this.volume * (call.ownVolume ?? 1); }

  /** Open the dialog; the microphone is on as long as it is open. */
  async open() {
    $('sound').showModal();
    this.#wasHeard = false;
    this.#hint('speakUp');
    this.#volumes();
    await this.#look();
    await this.#list();
  }

  /** Draw the level of the microphone; `isTold`: for those who hear the page, too. */
  draw(isTold) {
    if (!this.#meter) return;
    const level = this.#meter.level();
    show($('own-meter'), level);
    if (isTold) tell($('own-meter'), level);
    if (level > LOUD_ENOUGH && !this.#wasHeard) {
      this.#wasHeard = true;
      this.#hint('heardYou');
    }
  }

  translate() {
    if (!$('sound').open) return;
    this.#list();
    this.#volumes();
    this.#hint(this.#wasHeard ? 'heardYou' : 'speakUp');
  }

  async #look() {
    this.#endLook();
    try {
      const chosen = this.#microphone ? { deviceId: { ideal: this.#microphone } } : true;
      const stream = this.#client && !this.#client.closed ? await this.#client.devices.open() : await navigator.mediaDevices.getUserMedia({ audio: chosen });
      if (!$('sound').open) return this.#stop(stream);
      this.#stream = stream;
      this.#meter = new MicrophoneMeter(stream);
      this.#trouble(null);
    } catch (error) {
      this.#trouble(microphoneTrouble(error) ?? 'noMicrophone');
    }
  }

  #endLook() {
    this.#meter?.close();
    if (this.#stream) this.#stop(this.#stream);
    [this.#meter, this.#stream] = [null, null];
    show($('own-meter'), 0);
  }

  #stop(stream) {
    if (this.#client) this.#client.devices.close(stream);
    for (const track of stream.getTracks()) track.stop();
  }

  #trouble(key) {
    $('sound-trouble').hidden = !key;
    $('sound-trouble').textContent = key ? word(key) : '';
    $('sound-hint').hidden = Boolean(key);
  }

  #hint(key) {
    $('sound-hint').dataset.word = key;
    $('sound-hint').textContent = word(key);
  }

  async #choose(kind, id) {
    if (kind === 'microphone') this.#microphone = id;
    else this.#speaker = id;
    try {
      if (kind === 'microphone') await this.#client?.devices.useMicrophone(id);
      else await this.#client?.devices.useSpeaker(id);
      if (kind === 'microphone') await this.#look();
    } catch (error) {
      this.#trouble(microphoneTrouble(error) ?? 'micTaken');
      this.#list();
    }
  }

  async #list() {
    const all = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
    const chosen = { audioinput: this.#client?.devices.microphone ?? this.#microphone, audiooutput: this.#sink };
    for (const [kind, id] of [['audioinput', 'microphone'], ['audiooutput', 'speaker']]) {
      const found = all.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== 'default');
      const options = found.map(({ deviceId, label }) => make('option', { value: deviceId, text: label || word('unnamed') }));
      $(id).replaceChildren(make('option', { value: '', text: word('browsersChoice') }), ...options);
      $(id).value = found.some(({ deviceId }) => deviceId === chosen[kind]) ? chosen[kind] : '';
    }
    const mayChoose = 'setSinkId' in HTMLMediaElement.prototype && $('speaker').options.length > 1;
    $('speaker-row').hidden = !mayChoose;
  }

  /** One slider for everybody with whom one talks, where they are several. */
  #volumes() {
    const calls = this.#calls();
    $('volumes').replaceChildren(...(calls.length < 2 ? [] : calls).map((call) => {
      const slider = make('input', { type: 'range', min: 0, max: 100, value: 100 * (call.ownVolume ?? 1) });
      slider.addEventListener('input', () => {
        call.ownVolume = slider.value / 100;
        this.attend(call);
      });
      return make('label', {}, make('span', { text: call.peer, title: call.peer }), slider);
    }));
  }
}
