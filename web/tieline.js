/**
 * Tieline in the browser: voice calls with the members of a room. One ES module, no dependency.
 *
 *   const client = await connect('wss://example.org/ws', {token});
 *   await client.join('room_1');
 *   client.addEventListener('call', ({detail: call}) => call.accept());
 *   const call = client.call('user_456');
 *
 * `Reconnector` keeps one user connected, `Client` is what an application calls, `Call` is one voice connection to one
 * person, `Voice` a room in which everybody has a `Call` to everybody else. Types: tieline.d.ts. The server's
 * side is docs/protocol.md, whose words are used here; the Python client of the same protocol is tieline/client/.
 */

const BACKOFF_BASE_MS = 1000; // the first wait before reconnecting is a random part of this, later ones of more
const BACKOFF_CAP_MS = 8000; // but never more: several attempts must fit into the 30 s that a session is kept
const STABLE_MS = 10_000; // a connection that held this long was a good one: waits are short again
const ATTEMPT_MS = 10_000; // for one attempt to connect, from the token to the WELCOME
const TOKEN_MS = 5_000; // of these for the application's token; one that comes later is for the next attempt
const ABANDONED_MS = 15_000; // for so long a gateway may yet act on an attempt that was given up here
const REPLY_MS = 10_000; // for an answer: twice as long as a gateway tries; then the same frame goes again
const RESEND_MS = 55_000; // after its first sending: past 60 s the server would take it for another message
const SEEN_MS = 60_000; // the very same frame again within this is the same message
const QUIET_MS = 7_000; // without a word from the server we ask for one, so that silence is noticed in 12 s
const CHECK_MS = 5_000; // without one from then on we are in doubt, and after twice as long the connection is lost
const PROBE_MS = 1_500; // the same after the network has changed, when there is reason to doubt
const SLOW_LINE = 3; // but longer where the last word took long to come: so many times as long,
const SLOWEST_MS = 5_000; // as if it had taken this at most
const MOVED_MS = 5_000; // between two looks for other paths because the network has changed
const REFRESH_MS = 5_000; // between two tokens; of one that lives shorter, half its life,
const REFRESH_LEAST_MS = 1_000; // and never less, whatever the clocks say
const INTERRUPTED_MS = 3_000; // media that stopped may come back by itself for so long, then ICE restarts
const YIELD_MS = 2_000; // longer for the polite one, so that not both restart and their offers cross
const GOODBYE_MS = 1_000; // for the server to hear that calls end before the connection does
const GIVE_UP_MS = 30_000; // without media for so long, a call is over: as long as the server keeps a session
const BEGIN_MS = 60_000; // for the microphone, and for the offer to reach the server
const OFFER_TIMEOUT_S = 60; // for which an offer waits, where the server does not say
const RING_MARGIN_MS = 10_000; // ringing is over so much later, though the server's word of it has not come
const CALLS_OVER = 8; // of each user, to know what comes late from them
const VOICE_MEMBERS = 6; // of one voice room: each sends its voice to all the others
const VOICE_ASKED = 20; // members of a room, who are all asked whether they are in its voice
const ENTER_MS = 5_000; // for their answers, of which one may say that the voice is full
const SAMPLE_MS = 1_000; // between two looks at how good a call is; it is judged by the last few of them:
const SAMPLES = 5; // that is by four seconds
const POOR = { loss: 0.05, rttMs: 400, jitterMs: 60 }; // from here on people notice: words are missing, or come late
const GOOD = { loss: 0.02, rttMs: 300, jitterMs: 30 }; // below all of these it is good again
const UNHEARD_MS = 8_000; // without a packet, though the call is connected: then ICE restarts, this often at most:
const UNHEARD_RESTARTS = 4;
const LEVEL_MS = 200; // between two looks at whether the other speaks
const SPEECH = 0.02; // of the loudest there is, 34 dB below it: a voice is louder, a quiet room is not
const SILENCE_MS = 600; // so long a pause is no end of speaking
const FULL_BYTES = 1 << 20; // of messages in a call that wait for the line: more are sent when a quarter is left
const GRANTED_MS = 10_000; // for the other to offer what one may not: an older client never does
const MOST_TRACKS = 4; // that are offered for one who may not, at once
const PARTED_MS = 1_000; // for the server to say that a call is over because no room is shared any more
const MAX_REASON = 200; // characters of the reason for a hangup: a frame that is too long tells the other nothing

const SIGNALS = new Set(['WEBRTC_OFFER', 'WEBRTC_ANSWER', 'WEBRTC_ICE_CANDIDATE', 'WEBRTC_HANGUP', 'WEBRTC_INFO']);
const [OFFER, ANSWER, CANDIDATE, HANGUP, INFO] = SIGNALS;
const OPEN = new Set(['calling', 'waiting', 'ringing']); // states of a call that nobody has accepted yet
const CHANGES = { MEMBER_JOINED: 'joined', MEMBER_LEFT: 'left', MEMBER_UPDATED: 'updated' }; // of one member
const EVENTS = new Set([...Object.keys(CHANGES), 'ROOM_CHANGED', 'MESSAGE', 'TOKEN_EXPIRING', 'RECONNECT']);
const WRONGLY_SPOKEN = new Set([1000, 1002, 1003, 1007, 1009]); // close codes below 4000 that are final
const TRY_AGAIN = new Set(['INTERNAL', 'RATE_LIMITED']); // refusals after which the same frame may succeed
const NO_MICROPHONE = new Set([ // names of errors of getUserMedia
  'NotAllowedError', 'NotFoundError', 'NotReadableError', 'AbortError', 'OverconstrainedError', 'SecurityError',
  'TypeError',
]);
const CHANNEL = 'tieline'; // the label of the data channels for `send`: each side opens one, and sends on its own
const PLACE = /^(\s*{)"place":"([^"]*)",/; // the server writes it before all else
const END_OF_CANDIDATES = { candidate: '', sdpMid: '0', sdpMLineIndex: 0 };
// Of a restart that is yet to come, at an address that nobody has (RFC 5737): Chromium forgets for it what is older.
const FORGETTING = { ...END_OF_CANDIDATES, candidate: 'candidate:0 1 udp 1 192.0.2.1 1024 typ host ufrag 0' };

const emit = (target, type, detail) => target.dispatchEvent(new CustomEvent(type, { detail }));
const backoff = (failures) => Math.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** failures);
const utf8 = (text) => new TextEncoder().encode(text);
const isBefore = (a, b) => String.fromCharCode(...utf8(a)) < String.fromCharCode(...utf8(b)); // by their bytes
const newId = () => crypto.getRandomValues(new Uint32Array(2)).join('-');
const stop = (stream) => stream.getTracks().forEach((track) => track.stop());
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const isOfFirefox = ({ sdp }) => /^o=mozilla/m.test(sdp);
const iceName = ({ sdp }) => /ice-ufrag:(\S+)/.exec(sdp)?.[1]; // another one after a restart
const isToken = (token) => typeof token === 'string' && /^[\w.~+-]+$/.test(token); // as a subprotocol may hold it

/** Read an event of a room as ROOM_CHANGED has it. A server of version 0.1 tells of each member by itself. */
const changeIn = (cmd, { userId, status = 'online', ...data }) => (
  CHANGES[cmd] ? { ...data, [CHANGES[cmd]]: [{ userId, status }] } : data);

/** Change the members of a room. What an event does not say of one stays as it was. */
const apply = (members, { joined = [], left = [], updated = [] }) => {
  for (const { userId } of left) members.delete(userId);
  for (const member of [...joined, ...updated]) {
    const isWhole = 'joinedAt' in member; // as a list has it
    const known = (!isWhole && members.get(member.userId)) || { joinedAt: Date.now(), voice: true };
    members.set(member.userId, { ...known, ...member });
  }
};

/** The server's refusals in English: its own texts are those of the protocol, in Chinese. */
const ENGLISH = {
  BAD_MESSAGE: 'the server does not understand this message',
  UNKNOWN_COMMAND: 'the server does not know this command',
  AMBIGUOUS_NAMES: 'two programs might read this message differently',
  NOT_IN_SAME_ROOM: 'you share no room with this user',
  TARGET_OFFLINE: 'this user is not connected',
  NO_MATCHING_OFFER: 'there is no such call any more',
  NO_VOICE_PERMISSION: 'your token does not allow you to call',
  SENDER_MISMATCH: 'the message, or the new token, is of another user',
  ROOM_FORBIDDEN: 'your token does not allow this room',
  BAD_TOKEN: 'the new token is not valid',
  ROOM_FULL: 'the room is full',
  RATE_LIMITED: 'too many requests; try again in some seconds',
  TOO_MANY_CANDIDATES: 'more ICE candidates than a call may have',
  TOO_MANY_ROOMS: 'you are in as many rooms as you may be',
  INTERNAL: 'the servers could not do it now; try again',
};

/**
 * Anything that goes wrong on purpose. `reason` is the word to act on; `code` and `msg` are the server's, whose text
 * stands behind the English one in `message`.
 */
export class TielineError extends Error {
  constructor({ code = 0, msg = '', reason = '', cmd = '', requestId = '', fate = '', cause = undefined }) {
    const words = [reason || 'no reason given', code, ENGLISH[reason] && msg].filter(Boolean).join(', ');
    super(`${cmd || 'connection'}: ${ENGLISH[reason] ?? msg} (${words})`, { cause });
    Object.assign(this, { name: 'TielineError', code, msg, reason, cmd, requestId, fate });
  }
}

/** Something that went wrong here. */
const failure = (reason, msg, cause) => new TielineError({ reason, msg, cause });

/** Say what is wrong with something that is no token. It is not quoted: it may hold one. */
const noToken = (token) => {
  const what = typeof token !== 'string' ? `${token === null ? 'null' : typeof token}, not a text`
    : token === '' ? 'empty' : 'a text that is no JWT: JSON, or the page of an error?';
  return failure('UNUSABLE_TOKEN', `what was given as the token is ${what}`);
};

/** Metadata as it is now, and as the other will read it. */
const asJson = (metadata) => {
  try {
    return metadata === undefined ? undefined : JSON.parse(JSON.stringify(metadata) ?? 'null');
  } catch (cause) {
    throw failure('WRONG_USE', `metadata must be what JSON can hold: ${cause.message}`, cause);
  }
};

/** Constraints of the sound of such a device, or of any. */
const withDevice = (audio, deviceId) => (deviceId ? { ...Object(audio), deviceId } : audio);

/** The browser's devices; what it says no to is an error of its own. */
const media = () => {
  const msg = 'a browser gives a page the microphone over HTTPS or on localhost only';
  if (!globalThis.navigator?.mediaDevices) throw failure('NO_MICROPHONE', msg);
  return navigator.mediaDevices;
};

/**
 * Judge how good a call is by its last statistics, the oldest first: `lost` when nothing at all has come for so long,
 * `poor` when people notice it, in whichever direction. What is poor is good again only when it is clearly better.
 */
const judge = (samples, was) => {
  const [first, last] = [samples[0], samples.at(-1)];
  const [lost, received] = [Math.max(0, last.lost - first.lost), last.received - first.received];
  const loss = Math.max(lost > 0 ? lost / (lost + received) : 0, last.lossOut ?? 0);
  const { rttMs, jitterMs } = last;
  const limits = was === 'good' || was === null ? POOR : GOOD;
  const isPoor = loss > limits.loss || rttMs > limits.rttMs || jitterMs > limits.jitterMs;
  const isLost = samples.length === SAMPLES && last.heard === first.heard;
  return { quality: isLost ? 'lost' : isPoor ? 'poor' : 'good', was, loss, rttMs, jitterMs };
};

/** For an interrupted call. */
const NO_SAMPLE = { lost: 0, received: 0, lossOut: 1, rttMs: null, jitterMs: null };

/** The camera and the screen that are shown to one person, or to all of a voice room. */
class Shown {
  camera = null;
  screen = null;
  isOver = false;
  #changed;
  #owned = new Set(); // streams that were opened here
  #wish = {}; // by kind: the last one counts

  /** `changed(kind, stream, old)`: another stream is shown, or none. */
  constructor(changed) { this.#changed = changed; }

  get showing() { return { camera: this.camera, screen: this.screen }; }

  /** Show a stream, or what the browser opens for such constraints, or nothing (`false`). */
  async set(kind, what) {
    const wish = this.#wish[kind] = {};
    if (this.isOver) throw failure('CALL_ENDED', 'nothing can be shown after the end');
    if (what === true && this[kind]) return this[kind];
    const isOpen = what === false || what instanceof MediaStream;
    const asks = what === true && kind === 'screen' ? {} : what;
    const stream = isOpen ? what || null
      : await (kind === 'screen' ? media().getDisplayMedia(asks) : media().getUserMedia({ video: asks }));
    if (wish !== this.#wish[kind] || this.isOver) {
      if (!isOpen) stop(stream);
      return this[kind];
    }
    if (!isOpen) this.#owned.add(stream);
    return this.put(kind, stream);
  }

  /** The same with a stream that is there. The browser's own *stop sharing* ends it, too. */
  put(kind, stream, isOwn = false) {
    const old = this[kind];
    if (old === stream) return stream;
    if (this.isOver) {
      if (isOwn) stop(stream);
      return null;
    }
    if (isOwn) this.#owned.add(stream);
    this[kind] = stream;
    for (const track of stream?.getTracks() ?? []) {
      track.addEventListener('ended', () => this[kind] === stream && this.put(kind, null));
    }
    if (this.#owned.delete(old)) stop(old);
    this.#changed(kind, stream, old);
    return stream;
  }

  end() {
    this.isOver = true;
    for (const stream of this.#owned) stop(stream);
    this.#owned.clear();
    this.camera = this.screen = null;
  }
}

/** Microphones and speakers: which there are, which are used, and what becomes of calls when one goes. */
export class Devices extends EventTarget {
  /** The ids of those that were chosen; '' is the browser's choice. */
  microphone = '';
  speaker = '';
  #calls;
  #streams = new Map(); // those with a microphone that follow a change of it -> what was asked for
  #lost = new Set(); // of these, those whose microphone has gone
  #isElsewhere = { microphone: false, speaker: false }; // the one that was chosen has gone, another is used
  #changes = 0; // how often another microphone was to be used from then on
  #queue = Promise.resolve(); // one change after the other
  #known = []; // the devices of the last list

  /** `audio` are the constraints of every microphone; `calls()` those that there are. */
  constructor(audio, calls, signal) {
    super();
    this.audio = audio;
    this.#calls = calls;
    const look = () => this.list().then((devices) => this.#next(() => this.#look(devices))).catch(() => {});
    globalThis.navigator?.mediaDevices?.addEventListener?.('devicechange', look, { signal });
  }

  /**
   * All that there are. Before the page may use a microphone a browser keeps their names and ids to itself, and Firefox
   * says nothing as long as nobody looks at the page: nothing here waits for it.
   */
  async list() {
    const all = this.#known = await media().enumerateDevices();
    const of = (wanted) => all.filter(({ kind }) => kind === wanted);
    return { microphones: of('audioinput'), speakers: of('audiooutput'), cameras: of('videoinput') };
  }

  /** Open the microphone. What it gives follows when another one is chosen or this one goes, in calls, too. */
  async open({ audio = this.audio, video = false } = {}) {
    const known = this.#changes;
    const ask = (id, more) => media().getUserMedia({ audio: withDevice(audio, id && { exact: id }), video: more });
    const askForAny = (more) => ask(this.microphone, more).catch((error) => {
      if (!this.microphone || error.name === 'NotAllowedError') throw error;
      return ask('', more); // another one if it is not there
    });
    const stream = await askForAny(video).catch((error) => {
      if (!video) throw error;
      emit(this, 'error', error);
      return askForAny(false); // who has no camera can talk
    });
    this.#streams.set(stream, audio);
    this.#attend(stream);
    this.#next(() => known !== this.#changes && this.#follow(stream)).catch((error) => emit(this, 'error', error));
    return stream;
  }

  /** Open, or take, what a call begins with. One question to the user is for the microphone and the camera. */
  async _begin({ stream, audio, video = false }, shown) {
    const isAsked = !stream && video !== false && !(video instanceof MediaStream);
    const local = await (stream ?? this.open({ audio, video: isAsked && video }));
    const tracks = isAsked ? local.getVideoTracks() : [];
    for (const track of tracks) local.removeTrack(track); // a camera is turned off without the microphone
    if (tracks.length > 0) shown.put('camera', new MediaStream(tracks), true);
    if (!isAsked && video !== false) await shown.set('camera', video).catch((error) => emit(this, 'error', error));
    return local;
  }

  /** Give a microphone back that was opened here. */
  close(stream) {
    this.#streams.delete(stream);
    this.#lost.delete(stream);
    stop(stream);
  }

  /** Use another microphone, in calls that run, too. If it cannot be opened the one in use stays, and this rejects. */
  useMicrophone(id = '') {
    return this.#next(async () => {
      const streams = [...this.#streams.keys()].filter((stream) => !this.#isStopped(stream));
      await this.#reopen(streams, id && { exact: id });
      this.microphone = id;
      this.#isElsewhere.microphone = false;
      this.#changes += 1;
      this.#tell('microphone', 'chosen');
    });
  }

  /** Use another speaker for what this client plays. */
  useSpeaker(id = '') {
    return this.#next(async () => {
      const msg = 'this browser does not let a page choose the speaker';
      if (!('setSinkId' in HTMLMediaElement.prototype)) throw failure('NO_SPEAKER_CHOICE', msg);
      await new Audio().setSinkId(id); // or none changes
      this.speaker = id;
      this.#isElsewhere.speaker = false;
      await this.#sink(id);
      this.#tell('speaker', 'chosen');
    });
  }

  /** Have a new element play where the others do. */
  async _place(audio) {
    if (this.speaker && !this.#isElsewhere.speaker) await audio.setSinkId(this.speaker).catch(() => {});
  }

  #next(step) {
    const done = this.#queue.then(step);
    this.#queue = done.catch(() => {});
    return done;
  }

  async #sink(id) {
    const place = (call) => call.audio?.setSinkId(id).catch((error) => emit(call, 'error', error));
    await Promise.all(this.#calls().map(place));
  }

  #isStopped(stream) {
    return !this.#lost.has(stream) && stream.getAudioTracks().every(({ readyState }) => readyState === 'ended');
  }

  #attend(stream) {
    for (const track of stream.getAudioTracks()) {
      track.addEventListener('ended', () => this.#next(() => this.#gone(stream, track)), { once: true });
    }
  }

  /** Go on with any other microphone. Where there is none calls go on without, until there is one again. */
  async #gone(stream, track) {
    if (!this.#streams.has(stream) || !stream.getTracks().includes(track)) return;
    this.#lost.add(stream);
    this.#isElsewhere.microphone = true;
    await this.#reopen([stream], '').catch(() => {});
    this.#tell('microphone', 'gone');
  }

  /** Go over to the microphone that was chosen, or came back, while another was opened for this stream. */
  async #follow(stream) {
    if (!this.#streams.has(stream) || this.#isStopped(stream)) return;
    const { microphone } = this;
    await this.#reopen([stream], microphone && !this.#isElsewhere.microphone && { exact: microphone });
    this.#tell('microphone', 'chosen');
  }

  /** Open a microphone for each of these, and then use them; if one fails nothing changes. */
  async #reopen(streams, deviceId) {
    const opened = [];
    try {
      for (const stream of streams) {
        const audio = this.#streams.get(stream) ?? true;
        opened.push(await media().getUserMedia({ audio: withDevice(audio, deviceId) }));
      }
    } catch (error) {
      opened.forEach(stop);
      throw error;
    }
    await Promise.all(streams.map((stream, index) => this.#swap(stream, opened[index])));
  }

  async #swap(stream, opened) {
    if (!this.#streams.has(stream)) return stop(opened); // closed meanwhile
    const [track] = opened.getAudioTracks();
    const old = stream.getAudioTracks();
    track.enabled = old.every(({ enabled }) => enabled);
    stream.addTrack(track);
    for (const one of old) stream.removeTrack(one);
    this.#lost.delete(stream);
    this.#attend(stream);
    const senders = this.#calls().flatMap(({ pc }) => pc?.getSenders() ?? []);
    const using = senders.filter((sender) => old.includes(sender.track));
    await Promise.allSettled(using.map((sender) => sender.replaceTrack(track))); // it fails where the call has ended
    for (const one of old) one.stop();
  }

  /** Something was plugged in or out. What was chosen and is back is used again. */
  async #look(devices) {
    const { microphones, speakers } = devices;
    const has = (list, id) => list.some(({ deviceId }) => deviceId === id);
    emit(this, 'change', devices);
    const live = [...this.#streams.keys()].filter((stream) => !this.#isStopped(stream));
    if (this.#isElsewhere.microphone && has(microphones, this.microphone)) {
      await this.#reopen(live, { exact: this.microphone }).then(() => {
        this.#isElsewhere.microphone = false;
        this.#changes += 1;
        this.#tell('microphone', 'back');
      }, () => {});
    }
    if (this.#lost.size > 0) {
      await this.#reopen([...this.#lost], '').then(() => this.#tell('microphone', 'back'), () => {});
    }
    const isAway = this.speaker !== '' && !has(speakers, this.speaker);
    if (isAway === this.#isElsewhere.speaker) return;
    this.#isElsewhere.speaker = isAway;
    await this.#sink(isAway ? '' : this.speaker);
    this.#tell('speaker', isAway ? 'gone' : 'back');
  }

  /** Say what is used now; null: no microphone, or the speaker that the browser chooses. */
  #tell(kind, why) {
    const tracks = [...this.#streams.keys()].flatMap((stream) => stream.getAudioTracks());
    const used = tracks.find(({ readyState }) => readyState === 'live');
    const id = this.#isElsewhere[kind] ? '' : this[kind];
    const chosen = this.#known.find((device) => device.kind.startsWith('audio') && device.deviceId === id) ?? null;
    const isUsed = kind === 'microphone' && used;
    const device = isUsed ? { deviceId: used.getSettings().deviceId, label: used.label } : id ? chosen : null;
    emit(this, 'switched', { kind, why, device });
  }
}

/** The connection of one user, whichever it is at the moment, and what has been sent and not answered yet. */
class Reconnector {
  ended = null; // how all ended, as an error
  welcome = null;
  state = 'reconnecting'; // connected, checking (nothing is heard any more), reconnecting or closed
  isIdle = () => false; // whether it may take longer to notice a silence
  #urls;
  #token;
  #hear;
  #tell;
  #at = 0; // which of the URLs
  #socket;
  #since = 0; // when the connection in use began
  #failures = 0; // attempts since a good connection
  #dialing = false;
  #spare; // a token that came too late for the attempt for which it was asked
  #heardAt = 0; // when the last frame came
  #roundTripMs = 0; // how long the last word took
  #wake = () => {}; // ends the wait before the next attempt
  #abandoned = -Infinity; // when an attempt was given up last
  #pending = new Map(); // what was sent and is not answered yet: request id -> request
  #waits = new Map(); // by user: until what was sent to it is sent again, and before that nothing new
  #prefix = newId(); // of all request ids
  #count = 0;
  #last = ''; // the request id of the last message from others
  #place = null; // where the server says that it stands; null: this server does not say
  #seen = new Map(); // frame -> when it came

  /** `hear(message)` gets every message from others, once; `tell(type, detail)` what becomes of the connection. */
  constructor(urls, token, hear, tell) {
    [this.#urls, this.#token, this.#hear, this.#tell] = [urls, token, hear, tell];
  }

  /** Connect for the first time: try each gateway once. */
  async open() {
    for (let left = this.#urls.length; !this.#socket; left -= 1) {
      await this.#attempt().catch((failure) => {
        if (failure.reason === 'NO_TOKEN') throw failure.cause;
        if (left === 1 || failure.reason === 'UNUSABLE_TOKEN' || this.#isFinal(failure)) throw failure;
        this.#turn();
      });
    }
    this.#listen();
  }

  /** A token of the application's, or an error that says why there is none; with a limit, after so long. */
  async token(limitMs = 0) {
    const source = this.#token;
    if (typeof source !== 'function') return source;
    if (this.#spare) {
      const token = this.#spare;
      this.#spare = null;
      return token;
    }
    const asked = Promise.resolve().then(() => source());
    let clock;
    const late = new Promise((_, reject) => {
      const msg = `the function for tokens gave none within ${limitMs} ms`;
      if (limitMs) clock = setTimeout(() => reject(failure('NO_TOKEN', msg)), limitMs);
    });
    late.catch(() => asked.then((token) => { if (this.#dialing && isToken(token)) this.#spare = token; }, () => {}));
    try {
      return await Promise.race([asked, late]);
    } catch (cause) {
      if (cause instanceof TielineError && cause.reason === 'NO_TOKEN') throw cause;
      throw failure('NO_TOKEN', `the function for tokens failed: ${cause}`, cause);
    } finally {
      clearTimeout(clock);
    }
  }

  /** Send a message, over however many connections it takes; resolves to the server's answer. */
  ask(cmd, data) {
    if (this.ended) return Promise.reject(this.ended);
    const requestId = `${this.#prefix}-${(this.#count += 1)}`;
    const frame = JSON.stringify({ requestId, module: 'ROOM', cmd, code: 200, msg: 'success', data });
    const longest = this.welcome.maxMessageBytes;
    const tooLong = { reason: 'TOO_LONG', msg: `more than ${longest} bytes`, cmd, requestId };
    if (utf8(frame).length > longest) return Promise.reject(new TielineError(tooLong)); // the server would hang up
    return new Promise((resolve, reject) => {
      const to = SIGNALS.has(cmd) ? data.to : undefined;
      const request = { requestId, cmd, frame, to, resolve, reject, tries: 0 };
      this.#pending.set(requestId, request);
      this.#write(request);
    });
  }

  /**
   * Find out whether the connection still works. If nothing at all comes in time it is in doubt (`checking`), and after
   * twice that time it is replaced. On a line whose words take long the time is longer.
   */
  probe(patienceMs) {
    const socket = this.#socket;
    this.#wake();
    if (!socket) return;
    const askedAt = performance.now();
    const stepMs = Math.max(patienceMs, SLOW_LINE * this.#roundTripMs);
    const isSilent = () => socket === this.#socket && this.#heardAt < askedAt;
    this.ask('PING', null).then(() => {
      if (socket === this.#socket) this.#took(performance.now() - askedAt);
    }, () => {});
    setTimeout(() => {
      if (!isSilent()) return;
      this.#become('checking');
      setTimeout(() => isSilent() && this.#lost({ code: 1006, reason: 'no answer' }), stepMs);
    }, stepMs);
  }

  /** Break off, not for good: the page is put aside, and nobody is to talk to it meanwhile. `comeBack` is for later. */
  putAside() {
    if (this.ended) return;
    this.#lost({ code: 1006, reason: 'the page was put aside' }, 1000);
  }

  comeBack() {
    this.#wake();
    if (!this.ended && !this.#socket) this.#dial(true);
  }

  /** End the session. */
  close() { this.#end(new TielineError({ code: 1000, reason: 'CLOSED', msg: 'closed here' })); }

  async #attempt() {
    const began = performance.now();
    const token = await this.token(this.welcome ? TOKEN_MS : 0);
    if (this.ended) throw this.ended;
    if (!isToken(token)) throw noToken(token);
    const url = new URL(this.#urls[this.#at], globalThis.location?.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const query = { acks: '1', roster: '1', calls: '1', resume: this.welcome?.resumeToken ?? '', last: this.#last };
    Object.assign(query, { place: '1', lastPlace: this.#place ?? '' });
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const asked = performance.now();
    const limitMs = ATTEMPT_MS - (this.welcome ? asked - began : 0);
    const socket = new WebSocket(url, ['tieline.v1', `bearer.${token}`]);
    await new Promise((resolve, reject) => {
      // A browser does not say why a connection did not come about: refused or not there, it is all 1006.
      const fail = ({ code, reason }) => {
        clearTimeout(clock);
        this.#abandon(socket);
        this.#abandoned = performance.now();
        reject(new TielineError({ code, reason: 'UNREACHABLE', msg: reason || `no welcome from ${url.host}` }));
      };
      const clock = setTimeout(() => fail({ code: 1006 }), limitMs);
      socket.onclose = fail;
      socket.onmessage = ({ data }) => {
        const first = JSON.parse(data);
        if (this.ended || first.cmd !== 'WELCOME') return fail({ code: 1006 });
        clearTimeout(clock);
        this.#took((performance.now() - asked) / 2); // of the connection, and of the request
        this.#use(socket, first.data, first.place ?? null);
        resolve();
      };
    });
  }

  /** Go on with a connection, from now on nothing of the one before is read: what it had is replayed. */
  #use(socket, welcome, place) {
    const [old, before] = [this.#socket, this.welcome];
    [this.#socket, this.welcome, this.#since, this.#place] = [socket, welcome, performance.now(), place];
    [this.#heardAt, this.#spare] = [this.#since, null];
    if (old) this.#abandon(old);
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = (end) => this.#lost(end);
    if (before && !welcome.resumed) {
      this.#last = '';
      const lost = { reason: 'SESSION_LOST', msg: 'a new session began before the answer' };
      this.#giveUp((request) => new TielineError({ ...request, ...lost }));
    }
    for (const clock of this.#waits.values()) clearTimeout(clock);
    this.#waits.clear();
    for (const request of this.#pending.values()) this.#write(request);
    this.#become('connected');
    this.#tell(!before ? 'open' : welcome.resumed ? 'resumed' : 'reset', welcome);
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#tell('state', state);
  }

  #took(ms) { this.#roundTripMs = Math.min(ms, SLOWEST_MS); }

  /** Ask for a word when there was none for long; one timer, for as long as the client lives. */
  #listen() {
    if (this.ended) return;
    const longestMs = this.welcome.pingInterval * 1000;
    const limitMs = this.isIdle() ? longestMs : Math.min(QUIET_MS, longestMs);
    const leftMs = this.#socket ? this.#heardAt + limitMs - performance.now() : limitMs;
    if (leftMs <= 0) this.probe(CHECK_MS);
    setTimeout(() => this.#listen(), leftMs > 0 ? leftMs : limitMs);
  }

  #abandon(socket, code = 3001) { // not with 1000, which would end the session
    socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  #lost({ code, reason }, goodbye = 3001) {
    if (this.#socket) this.#abandon(this.#socket, goodbye);
    this.#socket = null;
    for (const request of this.#pending.values()) clearTimeout(request.clock);
    const end = new TielineError({ code, reason: 'CLOSED', msg: reason || 'the connection broke' });
    if (this.#isFinal(end)) return this.#end(end);
    if (code === 4500 && this.#dialing) return; // replaced by the connection that is being made: nobody is away
    this.#become('reconnecting');
    this.#tell('reconnecting', end);
    if (goodbye !== 1000) this.#dial(false);
  }

  /** Whether it makes no sense to try again: the server says so. Trouble of the application's with tokens may pass. */
  #isFinal(failure) {
    if (!(failure instanceof TielineError)) return false;
    if (failure.code === 4501) return typeof this.#token !== 'function';
    if (failure.code === 4500) return !this.#dialing && performance.now() - this.#abandoned > ABANDONED_MS; // not us
    return failure.code >= 4500 || WRONGLY_SPOKEN.has(failure.code);
  }

  /** Connect again, elsewhere first, until it works. The connection in use, if there is one, works meanwhile. */
  async #dial(atOnce) {
    if (this.#dialing) return;
    this.#dialing = true;
    if (performance.now() - this.#since > STABLE_MS) this.#failures = 0;
    let hasComplained = false;
    for (let isFirst = true; !this.ended; isFirst = false) {
      const waitMs = atOnce && isFirst ? 0 : backoff(this.#failures++);
      await new Promise((resolve) => setTimeout((this.#wake = resolve), waitMs));
      this.#turn();
      try {
        await this.#attempt();
        break;
      } catch (failure) {
        // Instead of a WELCOME, 4500 says that another device has replaced the session: no attempt of ours has.
        const isOfServer = failure instanceof TielineError && failure.code > 0;
        if (isOfServer && (failure.code === 4500 || this.#isFinal(failure))) this.#end(failure);
        if (isOfServer || hasComplained || this.ended) continue;
        hasComplained = true; // once for each connection that is lost: it is tried again and again
        this.#tell('error', failure);
      }
    }
    this.#dialing = false;
  }

  #turn() { this.#at = (this.#at + 1) % this.#urls.length; }

  #write(request) {
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#waits.has(request.to)) return;
    clearTimeout(request.clock);
    request.sentAt ??= performance.now();
    if (performance.now() - request.sentAt < RESEND_MS) {
      this.#socket.send(request.frame);
      request.clock = setTimeout(() => this.#write(request), REPLY_MS);
    } else {
      this.#pending.delete(request.requestId);
      request.reject(new TielineError({ ...request, reason: 'NO_REPLY', msg: 'no answer' }));
    }
  }

  /** Take in a frame. Of one that others made only `cmd`, `requestId` and `data` are believed. */
  #take(frame) {
    this.#heardAt = performance.now();
    if (this.state === 'checking') this.#become('connected');
    const message = JSON.parse(frame);
    const isFromOthers = SIGNALS.has(message.cmd) ? message.data != null : EVENTS.has(message.cmd);
    if (!isFromOthers) return this.#answer(message);
    const now = performance.now();
    for (const [seen, at] of this.#seen) {
      if (now - at < SEEN_MS) break;
      this.#seen.delete(seen);
    }
    const sent = this.#place === null ? frame : frame.replace(PLACE, '$1'); // as others have sent it
    if (this.#place !== null) this.#place = PLACE.exec(frame)?.[2] ?? '';
    if (this.#seen.has(sent)) return;
    this.#seen.set(sent, now);
    this.#last = message.requestId;
    if (message.cmd === 'RECONNECT') {
      const { afterMs, jitterMs } = message.data;
      setTimeout(() => this.#dial(true), afterMs + Math.random() * jitterMs);
    }
    this.#hear(message);
  }

  #answer(message) {
    const request = this.#pending.get(message.requestId);
    if (!request) return message.code !== 200 && this.#tell('error', new TielineError(message));
    clearTimeout(request.clock);
    if (TRY_AGAIN.has(message.reason) && performance.now() - request.sentAt < RESEND_MS) {
      if (message.reason === 'INTERNAL' && request.to !== undefined) return this.#repeat(request);
      request.clock = setTimeout(() => this.#write(request), backoff(request.tries++));
      return;
    }
    this.#pending.delete(message.requestId);
    if (message.code === 200) request.resolve(message);
    else request.reject(new TielineError(message));
  }

  /** Send what has no answer to a user again, in order: what was sent behind a message that failed, fails, too. */
  #repeat({ to, tries }) {
    if (this.#waits.has(to)) return;
    const open = () => [...this.#pending.values()].filter((request) => request.to === to);
    for (const request of open()) {
      clearTimeout(request.clock);
      request.tries += 1;
    }
    this.#waits.set(to, setTimeout(() => {
      this.#waits.delete(to);
      for (const request of open()) this.#write(request);
    }, backoff(tries)));
  }

  #giveUp(why) {
    for (const request of this.#pending.values()) {
      clearTimeout(request.clock);
      request.reject(why(request));
    }
    this.#pending.clear();
  }

  #end(error) {
    if (this.ended) return;
    this.ended = error;
    if (this.#socket) this.#abandon(this.#socket, 1000);
    this.#socket = null;
    this.#wake();
    this.#giveUp(() => error);
    this.#become('closed');
    this.#tell('closed', error);
  }
}

/** A connected user: rooms, and calls with their members. Made by `connect`. */
export class Client extends EventTarget {
  /** Who is in the rooms one has joined: room id -> user id -> {userId, status, voice, joinedAt}. */
  rooms = new Map();
  /** The calls that have not ended, by the other's user id. */
  calls = new Map();
  #connection;
  #options;
  #numbers = new Map(); // by room: how far its list went
  #listings = new Set(); // the lists that are on their way, and what changes meanwhile
  #voices = new Map(); // by room
  #lanes = new Map(); // what the next message to a user waits for
  #over = new Map(); // by user: the server's ids of the last calls, the newest last
  #ice; // the STUN and TURN servers, when they have been asked for
  #iceUntil = Infinity; // by the clock on the wall, which goes on while the machine sleeps
  #renewing; // a timer, and the next two
  #moving;
  #refreshing;
  #movedAt = -Infinity;
  #refreshedAt = -Infinity;
  #shown = false; // whether the others see that we are in a call
  #isShowing = false;
  #parted = new Set(); // users with whom no room was shared any more when one was left
  #unload = new AbortController();
  #clicks; // what waits for one, to play sound
  /** Whether what others say is heard: `blocked` until somebody clicks, or presses a key, or `playSound` works. */
  sound = 'playing';

  constructor(urls, options) {
    super();
    this.#options = { maxCalls: 1, play: true, rtc: {}, audio: true, ...options };
    this.devices = new Devices(this.#options.audio, () => [...this.calls.values()], this.#unload.signal);
    const tell = (type, detail) => this.#changed(type, detail);
    this.#connection = new Reconnector(urls, options.token, (message) => this.#hear(message), tell);
    this.#connection.isIdle = () => this.calls.size === 0 && globalThis.document?.hidden === true;
  }

  get userId() { return this.#connection.welcome.userId; }
  get closed() { return this.#connection.ended; }
  /** connected, checking (nothing has been heard for 12 s), reconnecting or closed. */
  get state() { return this.#connection.state; }
  /** Whether the server gives calls ids: one that does says how long an offer waits. */
  get _namesCalls() { return this.#connection.welcome.offerTimeout !== undefined; }
  get _ringingMs() { return (this.#connection.welcome.offerTimeout ?? OFFER_TIMEOUT_S) * 1000 + RING_MARGIN_MS; }
  get options() { return this.#options; }
  /** Whether our token allows to call, as far as the lists of our rooms say. */
  get _mayCall() { return [...this.rooms.values()].every((members) => members.get(this.userId)?.voice !== false); }

  async _open() {
    await this.#connection.open();
    const signal = this.#unload.signal;
    const network = globalThis.navigator?.connection;
    let kind = network?.type;
    const listen = (target, type, listener) => target?.addEventListener?.(type, listener, { signal });
    listen(globalThis, 'online', () => this.#moved());
    listen(network, 'change', () => { // mostly it says no more than that the line is quicker or slower now
      if (network.type !== kind) this.#moved();
      kind = network.type;
    });
    listen(globalThis.document, 'visibilitychange', () => document.hidden || this.#connection.probe(CHECK_MS));
    listen(globalThis, 'pagehide', ({ persisted }) => (persisted ? this.#putAside() : this.#connection.close()));
    listen(globalThis, 'pageshow', ({ persisted }) => persisted && this.#connection.comeBack());
    return this;
  }

  /** Become a member of a room; returns its members, oneself included. */
  join(room) { return this.#list(room, this.#connection.ask('JOIN', { room })); }

  /** Ask who is in a room one is a member of. */
  members(room) { return this.#list(room, this.#connection.ask('MEMBERS', { room })); }

  /** Stop being a member of a room, and end the calls of its voice room. */
  async leave(room) {
    const asked = [...this.#listings]; // before: what is asked behind it says nothing of who was met until then
    const left = this.#connection.ask('LEAVE', { room }).then(() => this.#forget(room, asked));
    await Promise.all([this.#voices.get(room)?.leave(), left]);
  }

  /** Ring somebody. The call is there at once; see its events. Somebody who is ringing us is accepted. */
  call(peer, options = {}) {
    const there = this.calls.get(peer);
    if (there) {
      if (there.incoming && there.state === 'ringing') there.accept(options);
      return there;
    }
    const call = new Call(this, peer, { id: newId(), room: options.room, incoming: false });
    const isSomebody = typeof peer === 'string' && peer !== '' && peer !== this.userId;
    const nobody = { code: 400, reason: 'BAD_MESSAGE', cmd: OFFER, msg: 'call(peer) takes the id of another user' };
    if (this.closed || !isSomebody) {
      setTimeout(() => call._refuse(this.closed ?? new TielineError(nobody))); // later, so that its events are heard
      return call;
    }
    this.calls.set(peer, call);
    call._begin(options).catch(() => {}); // it ends, and says why
    return call;
  }

  /** Talk with everybody who enters the voice of this room; up to six. Its `entered` says how coming in went. */
  enterVoice(room, options = {}) {
    const voice = this.#voices.get(room) ?? new Voice(this, room, options, () => {
      this.#voices.delete(room);
      this._showCall();
    });
    this.#voices.set(room, voice);
    this._showCall();
    return voice;
  }

  /** Play what the browser has not played yet: to be called by a click or a key. Rejects if it still refuses. */
  async playSound() {
    await Promise.all([...this.calls.values()].map((call) => call.audio?.play()));
    this._hears('playing');
  }

  /** A browser plays nothing before a click or a key: then it is tried again. */
  _hears(sound) {
    if (this.sound === sound) return;
    this.sound = sound;
    emit(this, 'sound', sound);
    this.#clicks?.abort();
    if (this.sound !== 'blocked') return;
    const { signal } = this.#clicks = new AbortController();
    const again = () => this.playSound().catch(() => {});
    const listen = (type) => globalThis.document?.addEventListener(type, again, { capture: true, signal });
    ['click', 'keydown'].forEach(listen);
  }

  /** The STUN and TURN servers to use now. They are fetched again before their credentials expire. */
  iceServers() {
    if (Date.now() > this.#iceUntil) this.#ice = null;
    this.#ice ??= this.#connection.ask('ICE_SERVERS', null).then(({ data: { iceServers, ttl } }) => {
      clearTimeout(this.#renewing);
      this.#iceUntil = ttl > 0 ? Date.now() + ttl * 800 : Infinity;
      if (ttl > 0) this.#renewing = setTimeout(() => this.#renewIceServers(), Math.min(ttl * 800, 2 ** 31 - 1));
      return iceServers;
    }, (error) => {
      if (error.reason === 'UNKNOWN_COMMAND') return []; // an older server
      this.#ice = null;
      throw error;
    });
    return this.#ice;
  }

  /** End all calls, and then the session. */
  async close() {
    const said = Promise.all([...this.calls.values()].map((call) => call.hangup()));
    await Promise.race([said, pause(GOODBYE_MS)]);
    this.#connection.close();
  }

  /**
   * Send one of the WEBRTC messages: after the ack of the description before it, which it must not overtake.
   * By then it is known what the server calls the call that it is about; the ack of an offer says so, and that of a
   * hangup which call it has ended.
   */
  async _signal(cmd, to, data, call = null) {
    const about = { cmd, peer: to, data };
    const tell = (direction, more) => emit(this, 'signal', { direction, ...about, at: performance.now(), ...more });
    let began;
    const asked = (this.#lanes.get(to) ?? Promise.resolve()).then(() => {
      began = performance.now();
      tell('out');
      return this.#connection.ask(cmd, { from: this.userId, to, call: call?.callId ?? undefined, data });
    }).then((answer) => {
      const callId = this._namesCalls ? answer.call : null;
      if (cmd === OFFER) call._settled(callId, answer);
      if (cmd === HANGUP) call._know?.(callId);
      return answer;
    });
    if (cmd !== CANDIDATE) this.#lanes.set(to, asked.catch(() => {}));
    const { ack } = await asked;
    tell('ack', { ack, ms: performance.now() - began });
  }

  /** Remember a call that has ended, to know what comes late. */
  _hasEnded(call) {
    if (this.calls.get(call.peer) === call) this.calls.delete(call.peer);
    if (!call.callId) return;
    const over = (this.#over.get(call.peer) ?? []).filter((id) => id !== call.callId);
    this.#over.set(call.peer, [...over, call.callId].slice(-CALLS_OVER));
    // Two rang each other, and we hung up before we knew that both are one call.
    const other = this.calls.get(call.peer);
    if (other?.callId === call.callId) other._end(call.reason, 'me');
  }

  /** Let the members of our rooms see whether we are in a call, if the application wants that: the last word counts. */
  _showCall() {
    const inCall = this.#voices.size > 0 || [...this.calls.values()].some(({ state }) => !OPEN.has(state));
    if (!this.#options.showCalls || this.closed || this.#isShowing || inCall === this.#shown) return;
    [this.#isShowing, this.#shown] = [true, inCall];
    this.#connection.ask('STATUS', { inCall }).catch(() => {}).then(() => { // refused: by an older server
      this.#isShowing = false;
      this._showCall();
    });
  }

  /** Somebody has rung, and nobody has accepted or declined it here. */
  _missed(peer, reason, call = null) { emit(this, 'missed', { peer, reason, call, at: Date.now() }); }

  /** The network has changed, or may have: look whether the line still works, and for other paths; not all the time. */
  #moved() {
    const waitMs = Math.max(0, this.#movedAt + MOVED_MS - performance.now());
    this.#moving ||= setTimeout(() => {
      [this.#moving, this.#movedAt] = [0, performance.now()];
      this.#connection.probe(PROBE_MS);
      for (const call of [...this.calls.values()]) call.restart();
    }, waitMs);
  }

  /** The page is put aside, from where it may come back: its calls and voices end, its rooms are joined again then. */
  #putAside() {
    for (const call of [...this.calls.values()]) call.hangup('closed'); // said when it comes back in time
    for (const voice of [...this.#voices.values()]) voice.leave();
    this.#connection.putAside();
  }

  /** Whether a room is shared with somebody, or may be: not all of these lists are here. */
  #shares(peer, lists = [...this.#listings]) {
    const isOpen = lists.some((listing) => this.#listings.has(listing));
    return isOpen || [...this.rooms.values()].some((members) => members.has(peer));
  }

  #renewIceServers() {
    this.#ice = null;
    if (this.calls.size === 0 || this.closed) return; // the next call asks
    this.iceServers().then((iceServers) => {
      // In force from the next ICE restart on; what is allocated with the old ones stays.
      for (const call of this.calls.values()) call._useServers(iceServers);
    }, () => {
      this.#renewing = setTimeout(() => this.#renewIceServers(), BACKOFF_CAP_MS);
    });
  }

  /**
   * Take a list of a room's members, page by page. What changes meanwhile is kept and applied in the end: it may be
   * newer than the list although it came before, and between two pages it may be about either.
   */
  async #list(room, asked) {
    const listing = { room, changes: [] };
    this.#listings.add(listing);
    try {
      let page = (await asked).data;
      const { number = 0 } = page;
      const members = new Map();
      const take = () => page.members.forEach((member) => members.set(member.userId, member));
      for (take(); page.next; take()) page = (await this.#connection.ask('MEMBERS', { room, after: page.next })).data;
      for (const change of listing.changes) if (!(change.number < number)) apply(members, change);
      if (!members.has(this.userId)) return this.#forget(room); // kicked meanwhile
      this.rooms.set(room, members);
      this.#numbers.set(room, number);
      return this.#tellOf(room);
    } finally {
      this.#listings.delete(listing);
    }
  }

  #tellOf(room) {
    const members = [...this.rooms.get(room)?.values() ?? []];
    emit(this, 'roster', { room, members });
    return members;
  }

  #changed(type, detail) {
    if (type === 'reset' || type === 'closed') {
      // Those that there are now: who hears of an end may ring again at once.
      for (const call of [...this.calls.values()]) call._end(type === 'reset' ? 'disconnected' : 'closed', 'server');
    }
    if (type === 'closed') {
      this.#unload.abort();
      this.#clicks?.abort();
      for (const clock of [this.#renewing, this.#moving, this.#refreshing]) clearTimeout(clock);
      for (const voice of [...this.#voices.values()]) voice.leave();
    }
    if (type === 'reset') {
      this.#shown = false;
      this._showCall(); // of the new session nobody knows it
      this.#ice = null; // away for so long, who knows whether they still hold
      this.#return();
    }
    const joined = type === 'open' ? detail.rooms : []; // by the token
    for (const room of joined) this.members(room).catch((error) => emit(this, 'error', error));
    emit(this, type, detail);
  }

  /** Join the rooms of a session that is lost again, and what was talked in there. */
  async #return() {
    for (const room of [...this.rooms.keys()]) {
      try {
        await this.join(room);
      } catch (error) {
        if (error.reason === 'SESSION_LOST' || this.closed) return; // once more from the beginning, or never
        this.#forget(room);
        emit(this, 'error', error);
        continue;
      }
      this.#voices.get(room)?._enter().catch((error) => emit(this, 'error', error));
    }
  }

  /** Be in a room no more, and in no call with those whom one meets nowhere else: the server says so to them only. */
  #forget(room, lists = [...this.#listings], isKicked = false) {
    this.#voices.get(room)?.leave();
    const members = this.rooms.get(room) ?? new Map();
    this.rooms.delete(room);
    this.#numbers.delete(room);
    for (const peer of new Set([...members.keys(), ...this.calls.keys()])) { // who is in a call may have left first
      if (peer === this.userId || this.#shares(peer, lists.filter((listing) => listing.room !== room))) continue;
      this.#parted.add(peer);
      if (!isKicked) this.calls.get(peer)?.hangup('left'); // else the server says it to both
    }
    return this.#tellOf(room);
  }

  /** When two leave two rooms at once, and meet in none then, the server tells one of them alone that the call is over. */
  #partLater(peer) {
    const call = this.calls.get(peer);
    if (!call) return;
    setTimeout(() => this.calls.get(peer) === call && !call._keptMs && !this.#shares(peer) && call.hangup('left'), PARTED_MS);
  }

  #hear({ cmd, data }) {
    if (SIGNALS.has(cmd)) return this.#hearSignal(cmd, data.from, data.data, this._namesCalls ? data.call : undefined);
    if (cmd === 'TOKEN_EXPIRING') return this.#refreshToken(data);
    if (cmd === 'RECONNECT') return;
    if (cmd === 'MESSAGE') return emit(this, 'message', data); // { room, data }, of the application's backend
    if (!data.members) return this.#change(changeIn(cmd, data));
    this.#list(data.room, { data }).catch((error) => emit(this, 'error', error)); // we were away for too long
  }

  /** Take what has changed in a room. One that ends where our list does may be a change that came late to the server. */
  #change(change) {
    const { room, number, joined = [], left = [], updated = [] } = change;
    for (const listing of this.#listings) if (listing.room === room) listing.changes.push(change);
    const members = this.rooms.get(room);
    if (!members || number < this.#numbers.get(room)) return; // older than our list
    if (left.some(({ userId }) => userId === this.userId)) return this.#forget(room, undefined, true); // kicked
    apply(members, change);
    for (const { userId } of left) this.#partLater(userId);
    for (const { userId, status } of [...joined, ...updated]) this.calls.get(userId)?._isThere(status === 'online');
    this.#tellOf(room);
  }

  #hearSignal(cmd, peer, data, callId) {
    emit(this, 'signal', { direction: 'in', cmd, peer, data, at: performance.now() });
    let call = this.calls.get(peer);
    if (callId && callId !== call?.callId && this.#over.get(peer)?.includes(callId)) return; // it has come late
    if (cmd === OFFER && typeof data?.sdp !== 'string') return; // nothing that a browser could answer
    if (cmd === OFFER && call?._isOver(data, callId)) call = call._end('replaced', 'peer'); // the other calls anew
    if (cmd !== OFFER || call) return call?._hear(cmd, data ?? {}, callId);
    const voice = this.#voices.get(data.room);
    const waiting = [...this.#voices.values()].filter(({ calls }) => calls.length === 0); // its microphone on
    const isBusy = this.calls.size + waiting.length >= this.#options.maxCalls;
    const isParted = this.#parted.has(peer) && !this.#shares(peer); // it was on its way when the room was left
    const no = isParted ? 'left' : !data.room ? isBusy && 'busy' : !voice ? 'absent' : voice._isFull && 'full';
    if (no) {
      if (no === 'busy') this._missed(peer, no);
      return this._signal(HANGUP, peer, { reason: no, call: data.call }, { callId }).catch(() => {});
    }
    call = new Call(this, peer, { id: data.call, room: data.room, incoming: true });
    this.calls.set(peer, call);
    call._hear(cmd, data, callId);
    if (voice) return voice._admit(call);
    call._sayRinging();
    emit(this, 'call', call);
  }

  /** Get a newer token: at once, but not all the time where tokens live for a moment. */
  #refreshToken(expiring) {
    emit(this, 'tokenexpiring', expiring);
    if (typeof this.#options.token !== 'function') return;
    const halfMs = (expiring.expiresAt - Date.now()) / 2;
    const pauseMs = Math.min(REFRESH_MS, Math.max(halfMs, REFRESH_LEAST_MS));
    this.#refreshing ||= setTimeout(async () => {
      [this.#refreshing, this.#refreshedAt] = [0, performance.now()];
      try {
        const token = await this.#connection.token();
        if (!isToken(token)) throw noToken(token);
        await this.#connection.ask('REFRESH_TOKEN', { token });
      } catch (error) { // at its end the server closes, and we come back with a new one
        if (error.reason !== 'UNKNOWN_COMMAND') emit(this, 'error', error);
      }
    }, Math.max(0, this.#refreshedAt + pauseMs - performance.now()));
  }
}

/** One voice connection to one person: WebRTC's perfect negotiation over Tieline's four messages. */
export class Call extends EventTarget {
  /**
   * calling, waiting (the other is away), ringing (there, too), connecting, connected, interrupted (the media stopped,
   * ICE restarts) or ended.
   */
  state = 'ringing';
  /** Whether the other says that none of its sound is sent. */
  peerMuted = false;
  /** Why it ended: hangup, decline, busy, cancel, timeout, disconnected, failed, ... or the reason of a refusal. */
  reason = null;
  error = null;
  /** What the server calls it, in its logs and events too; null before it is known. */
  callId = null;
  /** What the other has sent with the call. */
  metadata = null;
  /** good, poor or lost; null before there is something to judge by. */
  quality = null;
  /** Whether the other is speaking. */
  speaking = false;
  pc = null;
  local = null;
  remote = new MediaStream();
  audio = null;
  #client;
  #queue = Promise.resolve(); // the steps of the negotiation, one after the other
  #names; // the ids that this call has had
  #offer; // the other's, which is not answered yet
  #ignored; // the other's, which crossed ours
  #early = []; // candidates that came before the description they belong to
  #ends = new Map(); // hangups that came before it was known what the server calls this: its id of a call -> the hangup
  #isReady;
  #hasOffered;
  #isSettled; // what has become of our first offer
  #hasHungUp;
  #theirs; // what the server calls the call of the other's last offer
  #mayNot; // offer: the server has said so
  #isClient; // of DTLS
  #ownsMicrophone;
  #restarting; // a timer, and the next
  #givingUp;
  #ringing;
  #isMuted = false;
  #toldMuted = false; // what the other knows of that
  #isTelling;
  #isAccepted;
  #peerTells; // its client says when it rings there
  #servers; // for ICE, those that are in use
  #shown = new Shown((kind, stream, old) => this.#show(stream, old));
  #screens = []; // the ids of the other's streams that are screens
  #given; // metadata of ours
  #volume = 1;
  #sending = Promise.resolve(); // the messages of `send`, one after the other
  #channel; // for them: a promise, and what ends it when it is not opened
  #deny;
  #sampling; // a timer, and the next
  #levels;
  #spokenAt = -Infinity;
  #level = 0; // of what was heard at the last sample
  #heardUntil = 0; // the time of the last packet of sound
  #heardAt = 0; // when something of any kind has come last
  #unheardAt = -Infinity; // when a restart was asked for because nothing came
  #unheardTimes = 0;
  #watched = new WeakSet(); // streams of the other
  #hasProposedAgain;
  _keptMs = 0; // for which the server keeps our offer, until the other is there

  /** `id` tells this call from an earlier one with the same person. A client that knows no such ids sends none. */
  constructor(client, peer, { id, room, incoming }) {
    super();
    Object.assign(this, { peer, id, room, incoming });
    if (!incoming) this.state = 'calling';
    this.#client = client;
    this.#names = new Set([id]);
    this.#ringing = setTimeout(() => this.hangup('timeout'), BEGIN_MS);
  }

  /** Whose offer counts when two cross: that of the greater user id. The other withdraws its own. */
  get isPolite() { return isBefore(this.#client.userId, this.peer); }

  get #isOpen() { return OPEN.has(this.state); }

  /** Whether all the sound that is sent is muted; before there is any, whether it will be. */
  get muted() {
    const sounds = this.#sounds();
    return sounds.length > 0 ? sounds.every(({ enabled }) => !enabled) : this.#isMuted;
  }

  /** Answer, with the microphone or another stream. Rejects, and ends the call, if that fails. */
  accept(options = {}) {
    const no = (msg) => { throw failure('NOT_RINGING', msg); };
    const live = () => this.state === 'ended' && no(`the call is over: ${this.reason}`);
    const accepting = async () => {
      if (!this.incoming) no('it is for the other one to accept this call');
      live();
      this.#isAccepted = true;
      await this._begin(options);
      live();
    };
    const accepted = accepting();
    accepted.catch(() => {}); // for those who do not wait for it there are events
    return accepted;
  }

  /** Refuse a call that rings. */
  decline() { return this.hangup('decline'); }

  /** End the call; resolves when the server knows. Without a reason, or with what is none, the state says which. */
  async hangup(why) {
    if (this.state === 'ended') return;
    const usual = !this.#isOpen ? 'hangup' : this.incoming ? 'decline' : 'cancel';
    const reason = typeof why === 'string' && why !== '' ? why.slice(0, MAX_REASON) : usual;
    const isKnown = this.incoming || this.#hasOffered || this.#names.size > 1; // to the other
    const said = isKnown ? this.#sayEnd(reason) : Promise.resolve();
    this._end(reason, 'me');
    await said.catch(() => {}); // refused: for the server it was over already
  }

  /** Stop sending sound, or go on: of one track, or of all, also those to come. The two ends negotiate nothing. */
  mute(isMuted = true, track = null) {
    if (!track) this.#isMuted = isMuted;
    for (const one of track ? [track] : this.#sounds()) one.enabled = !isMuted;
    this._tellMuted();
  }

  /** Let the other know whether we are muted, if it knows otherwise: the last word counts. */
  _tellMuted() {
    if (this.#isTelling || this.muted === this.#toldMuted || (!this.#hasOffered && this.#isOpen)) return;
    this.#isTelling = true;
    this.#inform({ muted: this.#toldMuted = this.muted }).then(() => {
      this.#isTelling = false;
      this._tellMuted();
    });
  }

  /** Let the other know that it rings here. */
  _sayRinging() { this.#inform({ ringing: true }); }

  /** Send one more track, a picture or another sound; the two ends negotiate anew. */
  addTrack(track, ...streams) {
    const msg = 'there is no connection yet; `video` and `screen` work at any time';
    if (!this.pc) throw failure('WRONG_USE', msg);
    if (this.#isMuted && track.kind === 'audio') track.enabled = false;
    return this.pc.addTrack(track, ...streams);
  }

  /** Show one's camera, at any time: `true`, constraints or a stream; or not: `false`. Resolves to what is shown. */
  video(what = true) { return this.#shown.set('camera', what); }

  /** Share the screen, the same way. A browser asks for a click before it. */
  screen(what = true) { return this.#shown.set('screen', what); }

  /** What is shown, as streams or null. */
  get showing() { return this.#shown.showing; }

  /** How loud the other is played, from 0 to 1. */
  get volume() { return this.#volume; }

  set volume(volume) {
    this.#volume = Math.min(1, Math.max(0, Number(volume) || 0));
    if (this.audio) this.audio.volume = this.#volume;
  }

  /**
   * Send text or bytes to the other, in order; a `message` event there. Before the call is connected it waits. Resolves
   * when there is room for the next: who waits for that fills no memory. It does not say that it has arrived.
   */
  send(data) {
    const isBytes = data instanceof ArrayBuffer || ArrayBuffer.isView(data);
    const msg = 'send takes text, an ArrayBuffer, a view of one, or a Blob';
    const isUsable = typeof data === 'string' || isBytes || data instanceof Blob;
    if (!isUsable) return Promise.reject(failure('WRONG_USE', msg));
    const kept = isBytes ? new Blob([data]) : data; // as it is now: it may wait
    const sent = this.#sending.then(async () => {
      const bytes = typeof kept === 'string' ? kept : await kept.arrayBuffer();
      const channel = await this.#untilEnd((this.#channel ??= this.#openChannel()));
      const longest = this.pc?.sctp?.maxMessageSize ?? Infinity;
      const size = typeof bytes === 'string' ? utf8(bytes).length : bytes.byteLength;
      if (size > longest) throw failure('TOO_LONG', `${size} bytes; ${longest} at most`);
      const isFull = channel.bufferedAmount + size > FULL_BYTES && channel.bufferedAmount > channel.bufferedAmountLowThreshold;
      if (isFull) await this.#untilEnd(new Promise((resolve) => { channel.onbufferedamountlow = resolve; }));
      channel.send(bytes);
    });
    this.#sending = sent.catch(() => {});
    return sent;
  }

  removeTrack(sender) { this.pc.removeTrack(sender); }

  /** Look for another path for the media: when it stopped, or the network has changed. */
  restart() {
    const { pc } = this;
    if (!pc || this.#isOpen || this.state === 'ended') return;
    const again = () => {
      if (this.state === 'interrupted') this.#restartIn(UNHEARD_MS);
      if (pc !== this.pc || pc.signalingState !== 'stable') return; // a restart may be under way
      if (this.#mayNotOffer) this.#inform({ hears: false });
      else this.#forget().then(() => pc.restartIce());
    };
    this.#client.iceServers().then((iceServers) => this._useServers(iceServers)).then(again, again);
  }

  /** How it goes: the path, times in milliseconds, packets, and levels from 0 to 1. */
  async stats() {
    const report = this.pc ? await this.pc.getStats() : new Map();
    const find = (type, more = () => true) => [...report.values()].find((entry) => entry.type === type && more(entry));
    const audio = (entry) => entry.kind === 'audio';
    const selected = report.get(find('transport', (entry) => entry.selectedCandidatePairId)?.selectedCandidatePairId);
    const pair = selected ?? find('candidate-pair', (entry) => entry.nominated && entry.state === 'succeeded');
    const types = [pair?.localCandidateId, pair?.remoteCandidateId].map((id) => report.get(id)?.candidateType);
    const [heard, sent] = [find('inbound-rtp', audio), find('outbound-rtp', audio)];
    const [source, there] = [find('media-source', audio), find('remote-inbound-rtp', audio)];
    const all = [...report.values()].filter(({ type }) => type === 'inbound-rtp').map((entry) => entry.packetsReceived);
    const alive = [...all, pair?.bytesReceived, pair?.requestsReceived, pair?.responsesReceived];
    const inMs = (seconds) => (seconds === undefined ? null : seconds * 1000);
    return {
      path: ['relay', 'srflx', 'prflx', 'host'].find((type) => types.includes(type)) ?? null,
      rttMs: inMs(pair?.currentRoundTripTime), jitterMs: inMs(heard?.jitter),
      received: heard?.packetsReceived ?? 0, lost: heard?.packetsLost ?? 0, sent: sent?.packetsSent ?? 0,
      levelIn: heard?.audioLevel ?? 0, levelOut: source?.audioLevel ?? 0,
      energyIn: heard?.totalAudioEnergy ?? 0, energyOut: source?.totalAudioEnergy ?? 0,
      lossOut: there?.fractionLost ?? null, heard: alive.reduce((sum, one) => sum + (one ?? 0), 0),
    };
  }

  /** Begin to talk: answer the offer that is there, if only since a moment ago, else make one. */
  async _begin(options) {
    try {
      await this.#next(async () => {
        if (this.#isReady) return;
        this.#given = asJson(options.metadata);
        await this.#open(options);
        if (this.state === 'ended') return;
        this.#isReady = true;
        await (this.#offer ? this.#agree(this.#offer) : this.#propose());
        this.pc.onnegotiationneeded = this.#negotiate;
      });
    } catch (error) {
      this.#fault(error);
      throw error;
    }
  }

  /**
   * Whether an offer is about another call: then this one is over for the other, or for the server. That the server
   * calls it otherwise now, but the other as ever, is no sign of that: the server may have lost what it knew.
   */
  _isOver(offer, callId) {
    if (offer.call !== undefined && this.#names.has(offer.call)) return false;
    const isOther = callId && this.callId && callId !== this.callId;
    return isOther || (!this.#isOpen && offer.call !== undefined);
  }

  /** Take what the other has sent. */
  _hear(cmd, data, callId) {
    if (cmd !== OFFER && callId && this.callId && callId !== this.callId) return; // of another call
    const isOpen = this.#hasOffered && !this.#isSettled; // maybe of another call than the other's that has crossed it
    if (cmd === OFFER) this.#theirs = callId;
    if (cmd === OFFER || cmd === ANSWER) {
      this.metadata = data.metadata ?? this.metadata;
      this.#screens = Array.isArray(data.screens) ? data.screens : [];
    }
    if (cmd === OFFER && !isOpen) this._know(callId);
    if (cmd === HANGUP && callId && (isOpen || !this.callId)) {
      this.#ends.set(callId, data); // the ack of our offer says whether it is of this call
      return;
    }
    if (cmd === INFO) return this.#isOurs(data) && this.#learn(data);
    if (cmd === HANGUP) {
      // What the server takes to be of this call has ended it, whatever the other means.
      const isMeant = callId === this.callId || this.#isOurs(data);
      if (isMeant) this._end(typeof data.reason === 'string' ? data.reason : 'hangup', data.server ? 'server' : 'peer');
      return;
    }
    if (cmd === OFFER) this.#names.add(data.call);
    if (cmd !== CANDIDATE) this.#learn({ muted: data.muted });
    if (cmd === OFFER && !this.#isReady) {
      this.#offer = data;
      if (this.incoming) this.id = data.call;
      return;
    }
    this.#next(() => {
      if (cmd === OFFER) return this.#agree(data);
      return cmd === ANSWER ? this.#settle(data, callId) : this.#add(data);
    }).catch((error) => this.#fault(error));
  }

  /** End before anything was said: nobody can be rung so. */
  _refuse(error) {
    if (this.state === 'ended') return;
    this.error = error;
    emit(this, 'error', error);
    this._end(error.reason === 'CLOSED' ? 'closed' : error.reason, 'me');
  }

  /** From now on, and for what is allocated with an ICE restart. */
  _useServers(iceServers) {
    if (!this.pc || this.pc.signalingState === 'closed' || iceServers === this.#servers) return;
    this.#servers = iceServers;
    this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers });
  }

  _end(reason, by) {
    if (this.state === 'ended') return;
    const isMissed = this.incoming && this.#isOpen && !this.#isAccepted && !this.room && reason !== 'replaced'
      && (by === 'me' ? reason === 'timeout' : reason !== 'closed');
    this.reason = reason;
    this.#client._hasEnded(this);
    for (const clock of [this.#ringing, this.#restarting, this.#givingUp]) clearTimeout(clock);
    this.pc?.close();
    this.#shown.end();
    if (this.#ownsMicrophone) this.#client.devices.close(this.local);
    if (this.audio) this.audio.srcObject = null;
    this.#become('ended');
    emit(this, 'ended', { reason, by });
    if (isMissed) this.#client._missed(this.peer, reason, this);
  }

  /** Take one step of the negotiation after the other; none after the end. */
  #next(step) {
    const done = this.#queue.then(() => (this.state === 'ended' ? undefined : step()));
    this.#queue = done.catch(() => {});
    return done;
  }

  async #open(options) {
    const [iceServers, local] = await Promise.all([this.#client.iceServers(), this.#begin(options)]);
    if (this.state === 'ended') return;
    [this.local, this.#servers] = [local, iceServers];
    if (this.#isMuted) this.mute();
    this.#connect({ ...this.#client.options.rtc, iceServers }, local.getTracks());
  }

  /** Make the connection, from now on in the place of the one before. */
  #connect(configuration, tracks) {
    this.pc?.close();
    this.#isClient = null;
    const pc = this.pc = new RTCPeerConnection(configuration);
    pc.onicecandidate = ({ candidate }) => {
      const sent = this.#send(CANDIDATE, candidate?.toJSON() ?? END_OF_CANDIDATES);
      sent.catch((error) => this.#isFinished(error)); // else hung up in between
    };
    pc.ontrack = (event) => this.#hearTrack(event);
    pc.onconnectionstatechange = () => this.#watch();
    pc.addEventListener('datachannel', ({ channel }) => {
      if (channel.label !== CHANNEL) return; // the application's own
      channel.binaryType = 'arraybuffer';
      channel.onmessage = ({ data }) => emit(this, 'message', data);
    });
    const shown = Object.values(this.showing).filter(Boolean);
    const pictures = shown.flatMap((stream) => stream.getTracks());
    for (const track of tracks) if (!pictures.includes(track)) pc.addTrack(track, this.local);
    for (const stream of shown) this.#sendAll(stream);
  }

  async #begin(options) {
    const local = await this.#client.devices._begin(options, this.#shown);
    if (options.stream) return local;
    this.#ownsMicrophone = true;
    this.local = local;
    if (this.#isMuted) this.mute();
    if (this.state === 'ended') this.#client.devices.close(local);
    return local;
  }

  /** Send what is shown now, and no more what was. */
  #show(stream, old) {
    if (this.pc && this.pc.signalingState !== 'closed') {
      const gone = old?.getTracks() ?? [];
      for (const sender of this.pc.getSenders()) if (gone.includes(sender.track)) this.pc.removeTrack(sender);
      if (stream) this.#sendAll(stream);
    }
    emit(this, 'showing', this.showing);
  }

  /** Send all tracks of a stream; where something like it was sent before, in its place: descriptions stay short. */
  #sendAll(stream) {
    for (const track of stream.getTracks()) {
      const unused = this.pc.getTransceivers().find(({ sender, receiver, direction, currentDirection }) => (
        sender.track === null && receiver.track.kind === track.kind && currentDirection !== 'stopped'
        && (direction === 'recvonly' || direction === 'inactive')));
      if (!unused) {
        this.pc.addTrack(track, stream);
        continue;
      }
      unused.sender.replaceTrack(track).catch((error) => this.#fault(error));
      unused.sender.setStreams?.(stream);
      unused.direction = unused.direction === 'recvonly' ? 'sendrecv' : 'sendonly';
    }
  }

  get _isAnswered() { return ['connecting', 'connected', 'interrupted'].includes(this.state); }

  /** Wait for something, but not longer than for the end of the call. */
  #untilEnd(promise) {
    return new Promise((resolve, reject) => {
      const end = () => reject(failure('CALL_ENDED', 'the call ended before this was sent'));
      this.addEventListener('ended', end);
      if (this.state === 'ended') end();
      promise.then(resolve, reject).finally(() => this.removeEventListener('ended', end));
    });
  }

  /** Open our data channel, when the call has been answered: before that the connection may be made anew. */
  async #openChannel() {
    while (!this._isAnswered) await new Promise((resolve) => this.addEventListener('state', resolve, { once: true }));
    const channel = this.pc.createDataChannel(CHANNEL);
    channel.bufferedAmountLowThreshold = FULL_BYTES / 4;
    const { type } = await new Promise((resolve, reject) => {
      channel.onopen = channel.onclose = resolve; // closed: withdrawn with an offer that was refused
      this.#deny = (error) => {
        this.#channel = this.#deny = null;
        reject(error);
      };
    });
    this.#deny = null;
    return type === 'open' ? channel : this.#openChannel();
  }

  /** Judge the line as long as it is there. */
  #sample(samples = []) {
    clearTimeout(this.#sampling);
    if (this.state === 'interrupted') return this.#judged({ ...judge([NO_SAMPLE], this.quality), quality: 'lost' });
    if (this.state !== 'connected') return;
    this.#sampling = setTimeout(async () => {
      const sample = await this.stats().catch(() => null);
      if (this.state !== 'connected') return;
      this.#level = sample?.levelIn ?? 0;
      const last = sample ? [...samples, sample].slice(-SAMPLES) : samples;
      if (sample) this.#noticeSilence(sample.heard !== samples.at(-1)?.heard);
      if (last.length > 1) this.#judged(judge(last, this.quality));
      this.#sample(last);
    }, SAMPLE_MS);
  }

  /**
   * An ICE restart may leave a browser without any path, that says nothing of it: Firefox, when it restarts as the one
   * who was called by Chromium. One that the other begins, and next time the own, finds another.
   */
  #noticeSilence(isHeard) {
    const now = performance.now();
    if (isHeard) this.#heardAt = now;
    if (isHeard && now - this.#unheardAt > 2 * UNHEARD_MS) this.#unheardTimes = 0;
    const since = Math.max(this.#heardAt, this.#unheardAt);
    if (isHeard || now - since < UNHEARD_MS || this.#unheardTimes === UNHEARD_RESTARTS) return;
    this.#unheardAt = now;
    this.#unheardTimes += 1;
    if (this.#unheardTimes % 2) this.#inform({ hears: false });
    else this.restart();
  }

  #judged(detail) {
    if (detail.quality === this.quality) return;
    this.quality = detail.quality;
    emit(this, 'quality', detail);
  }

  /** Look again and again whether the other speaks. Where a browser gives no levels by packet, by those of the samples. */
  #listen() {
    clearInterval(this.#levels);
    const hears = (isSpeaking) => {
      if (isSpeaking) this.#spokenAt = performance.now();
      const speaking = performance.now() - this.#spokenAt < SILENCE_MS;
      if (speaking === this.speaking) return;
      this.speaking = speaking;
      emit(this, 'speaking', speaking);
    };
    if (this.state !== 'connected') {
      this.#spokenAt = -Infinity;
      return hears(false);
    }
    this.#levels = setInterval(() => {
      const voices = this.pc.getReceivers().filter(({ track }) => track.kind === 'audio');
      const sources = voices.flatMap((receiver) => receiver.getSynchronizationSources?.() ?? []);
      const fresh = sources.filter(({ timestamp }) => timestamp > this.#heardUntil);
      this.#heardUntil = Math.max(this.#heardUntil, ...fresh.map(({ timestamp }) => timestamp));
      hears(fresh.some(({ audioLevel = this.#level }) => audioLevel > SPEECH));
    }, LEVEL_MS);
  }

  #sayEnd(reason) {
    this.#hasHungUp = true;
    return this.#client._signal(HANGUP, this.peer, { reason, call: this.id }, this);
  }

  /** Say how it is at this end. A server of version 0.1 does not know of that, and the other hears nothing. */
  async #inform(what) {
    if (this.#client._namesCalls) await this.#send(INFO, what).catch(() => {});
  }

  /** Take what the other says of its end. */
  #learn({ ringing, muted, hears, channel, tracks }) {
    if (hears === false && !this.#mayNotOffer) this.restart();
    if (Array.isArray(tracks) && this._isAnswered) this.#next(() => this.#offerFor(tracks)).catch(() => {}); // of no such kind
    if (channel === true && this._isAnswered) (this.#channel ??= this.#openChannel()).catch(() => {});
    if (ringing === true && !this.incoming && this.#isOpen) this.#become('ringing');
    if (typeof muted !== 'boolean' || muted === this.peerMuted || this.state === 'ended') return;
    this.peerMuted = muted;
    emit(this, 'peermuted', muted);
  }

  /** Take what is known of whom we call: away; or there, where it rings when its client says so, if it is one that does. */
  _isThere(isOnline) {
    if (isOnline) this._keptMs = 0;
    if (this.incoming || !this.#isOpen || !this.#isSettled || this.state === 'ringing') return;
    this.#become(!isOnline ? 'waiting' : this.#peerTells ? 'calling' : 'ringing');
  }

  #sounds() {
    const senders = this.pc?.getSenders() ?? [];
    const tracks = [...(this.local?.getTracks() ?? []), ...senders.flatMap(({ track }) => track ?? [])];
    return tracks.filter(({ kind }) => kind === 'audio');
  }

  async #send(cmd, content) {
    if (this.state !== 'ended') await this.#client._signal(cmd, this.peer, { ...content, call: this.id }, this);
  }

  /** Take note of what the server calls this, and of an offer, which waits for so long from now on. */
  _know(callId) {
    const known = this.callId;
    this.callId = callId ?? known;
    const isNew = this.callId !== known;
    if (this.#ends.has(this.callId)) this._hear(HANGUP, this.#ends.get(this.callId), this.callId);
    else if (this.state === 'ended' && isNew && !this.#hasHungUp) this.#sayEnd('cancel').catch(() => {});
    if (this.state === 'ended') this.#client._hasEnded(this);
    if (!this.#isOpen) return;
    clearTimeout(this.#ringing);
    this.#ringing = setTimeout(() => this.hangup('timeout'), this.#client._ringingMs + this._keptMs);
  }

  /** Our offer is of the call that the server calls so, or was refused, and the other's counts. */
  _settled(callId, answer = null) {
    this.#isSettled = true;
    if (answer) {
      this.#peerTells = answer.tells === true;
      this._keptMs = (answer.keptFor ?? 0) * 1000;
      this._isThere(answer.status !== 'away');
    }
    const isOther = this.#theirs && callId !== this.#theirs; // one of the two calls is over
    const isAnew = isOther && this.#ends.has(callId); // ours, and the other has rung anew since
    this._know(isAnew ? this.#theirs : callId);
    this.#next(() => {
      if (isOther && !isAnew) this.#ignored = null; // it is over, though we may not have heard of that yet
      if (answer && this.#ignored) return this.#agree(this.#ignored, isAnew || this.isPolite);
    }).catch((error) => this.#fault(error));
  }

  /** Whether the server has refused something because this call is over; then it is over here, too. */
  #isFinished({ fate }, isFirst = false) {
    const isOver = fate === 'ended' || fate === 'replaced' || (fate === 'answered' && isFirst);
    if (isOver) this._end(fate, 'server');
    return isOver;
  }

  #negotiate = () => this.#next(() => this.#propose()).catch((error) => this.#fault(error));

  async #propose() {
    if (this.pc.signalingState !== 'stable') return; // asked for again when it is
    if (!this.#isOpen && this.#mayNotOffer) return this.#askForOffer();
    await this.pc.setLocalDescription();
    this.#sendOffer();
  }

  /** Have the other make the offer that we may not make: with its own channel, or with places for our tracks. */
  #askForOffer() {
    const open = () => this.pc.getTransceivers().filter(({ sender, currentDirection }) => sender.track && !/send/.test(currentDirection));
    const tracks = open().filter(({ mid }) => !mid).map(({ sender }) => sender.track.kind);
    this.#inform(this.#deny ? { channel: true, tracks: tracks[0] && tracks } : { tracks });
    setTimeout(() => {
      if (this.state === 'ended' || (!this.#deny && open().length === 0)) return;
      this.error = new TielineError({ code: 1000, reason: 'NO_VOICE_PERMISSION', cmd: OFFER });
      this.#deny?.(this.error);
      emit(this, 'error', this.error);
    }, GRANTED_MS);
  }

  /** Make an offer for one who may not. */
  async #offerFor(tracks) {
    for (const kind of tracks.slice(0, MOST_TRACKS)) this.pc.addTransceiver(kind, { direction: 'recvonly' });
    await this.#propose();
  }

  /** What goes with a description: what the application gives at first, which streams are screens, and our mute. */
  #about(isFirst = !this._isAnswered) {
    const { showing: { screen }, muted } = this;
    this.#toldMuted = muted;
    return { metadata: isFirst ? this.#given : undefined, screens: screen ? [screen.id] : undefined, muted };
  }

  #sendOffer() {
    this.#hasOffered = true;
    const { type, sdp } = this.pc.localDescription;
    this.#send(OFFER, { type, sdp, room: this.room, ...this.#about() }).catch((error) => {
      this._settled(this.#theirs);
      this.#next(() => this.#refused(error));
    });
  }

  /** Our offer was refused. If one of the other's was ignored for it, that one counts after all. */
  async #refused(error) {
    this.#mayNot ||= error.reason === 'NO_VOICE_PERMISSION';
    this.error = error;
    if (this.#isFinished(error)) return;
    if (!this.#ignored && (this.#isOpen || !this.#mayNot)) return this._end(error.reason, 'server');
    if (this.#ignored) await this.#agree(this.#ignored, true);
    if (this.pc.signalingState === 'have-local-offer') await this.pc.setLocalDescription({ type: 'rollback' });
    emit(this, 'error', error);
  }

  /** Whether the server refuses what we offer, as it has said, or as the members of our rooms see. */
  get #mayNotOffer() { return this.#mayNot || !this.#client._mayCall; }

  /** Answer an offer, but if it crosses ours only when it `counts`: at first not before the calls of both are known. */
  async #agree(offer, counts = this.isPolite && (this.#isSettled || !this.#isOpen)) {
    const hasCrossed = this.pc.signalingState !== 'stable';
    const isFirst = this.#isOpen;
    this.#ignored = hasCrossed && !counts ? offer : null;
    if (this.#ignored) return;
    this.id = offer.call;
    // Our own is withdrawn. Before there is a call, a fresh connection is surer than a rollback, after which
    // Chromium, when busy, has been seen to gather no candidates.
    if (hasCrossed && isFirst) {
      this.#connect(this.pc.getConfiguration(), this.pc.getSenders().flatMap(({ track }) => track ?? []));
    }
    const isMoved = !isFirst && iceName(offer) !== iceName(this.pc.remoteDescription);
    if (isMoved) await this.#forget();
    await this.pc.setRemoteDescription(offer); // rolls back an offer of ours
    await this.#addEarly();
    await this.pc.setLocalDescription();
    if (isMoved && this.state === 'interrupted') this.#restartIn(UNHEARD_MS);
    this.pc.onnegotiationneeded = this.#negotiate;
    this.#answered();
    const { type, sdp } = this.pc.localDescription;
    this.#send(ANSWER, { type, sdp: this.#keepRole(sdp, true), ...this.#about(isFirst) }).catch((error) => {
      if (isFirst && this.#hasOffered) this.#sayEnd('cancel').catch(() => {}); // ours may ring there still
      if (this.#isFinished(error, isFirst) || !isFirst) return;
      if (error.code > 0) this._end(error.reason, 'server');
      else this.hangup(error.reason); // nobody has heard of it: too much metadata
    });
  }

  async #settle(answer, callId) {
    if (this.pc?.signalingState !== 'have-local-offer') return;
    if (!this.#isAbout(answer)) { // the server has given our offer away for the answer to an earlier one: once more
      if (callId !== this.callId || this.#hasProposedAgain) return;
      this.#hasProposedAgain = true;
      return this.#sendOffer();
    }
    await this.pc.setRemoteDescription({ type: 'answer', sdp: this.#keepRole(answer.sdp, false) });
    this.#ignored = null;
    await this.#addEarly();
    this.#answered();
  }

  /**
   * Before an ICE restart forget where a Firefox was. Chromium would try its new ports there, too, and stay with what has
   * worked first; Firefox waits for ever for its new ones then, and hears nothing.
   */
  async #forget() {
    const { pc } = this;
    if (isOfFirefox(pc.remoteDescription) && !isOfFirefox(pc.localDescription)) await pc.addIceCandidate(FORGETTING).catch(() => {});
  }

  /**
   * Which end is the client of DTLS stays as the first answer had it: Firefox, when it answers somebody whom it has called,
   * says otherwise, and Chromium takes no such answer.
   */
  #keepRole(sdp, isOurs) {
    const role = /^a=setup:(active|passive)/m.exec(sdp)?.[1];
    if (!role) return sdp;
    this.#isClient ??= (role === 'active') === isOurs;
    return sdp.replace(/^a=setup:(active|passive)/gm, `a=setup:${this.#isClient === isOurs ? 'active' : 'passive'}`);
  }

  async #add(candidate) {
    if (!this.pc?.remoteDescription) this.#early.push(candidate);
    else if (this.#isAbout(candidate)) await this.pc.addIceCandidate(candidate).catch(() => {}); // of an older offer
  }

  async #addEarly() {
    for (const candidate of this.#early.splice(0)) await this.#add(candidate);
  }

  #isAbout({ call }) { return call === undefined || call === this.id; }

  /** Whether it names the call as either side has ever named it, or not at all. */
  #isOurs({ call }) { return call === undefined || this.#names.has(call); }

  #answered() {
    if (!this.#isOpen) return;
    this.#become('connecting');
    this.#giveUpLater();
  }

  #watch() {
    const state = this.pc.connectionState;
    clearTimeout(this.#restarting);
    if (this.state === 'ended') return;
    if (state === 'connected') {
      clearTimeout(this.#givingUp);
      this.#givingUp = 0;
      this.#become('connected');
    } else if (state === 'disconnected' || state === 'failed') {
      if (this.state === 'connected') this.#become('interrupted');
      this.#restartIn((state === 'failed' ? 0 : INTERRUPTED_MS) + (this.isPolite ? YIELD_MS : 0));
      this.#giveUpLater();
    } else if (state === 'connecting' && !this.#isOpen) {
      this.#giveUpLater();
    }
  }

  #restartIn(waitMs) {
    clearTimeout(this.#restarting);
    this.#restarting = setTimeout(() => this.restart(), waitMs);
  }

  #giveUpLater() {
    if (this.state !== 'ended') this.#givingUp ||= setTimeout(() => this.hangup('failed'), GIVE_UP_MS);
  }

  #hearTrack({ track, streams }) {
    const stream = streams[0] ?? new MediaStream([track]);
    const kind = this.#screens.includes(stream.id) ? 'screen' : track.kind === 'audio' ? 'microphone' : 'camera';
    this.remote.addTrack(track);
    if (!this.#watched.has(stream)) {
      this.#watched.add(stream);
      stream.addEventListener('removetrack', ({ track: gone }) => {
        this.remote.removeTrack(gone);
        emit(this, 'untrack', { track: gone, stream, kind });
      });
    }
    if (this.#client.options.play && track.kind === 'audio') this.#play();
    emit(this, 'track', { track, streams, stream, kind });
  }

  /** Play what there is to hear, where it is wanted, and so loud. */
  async #play() {
    const audio = this.audio ??= new Audio();
    [audio.srcObject, audio.volume] = [this.remote, this.#volume];
    await this.#client.devices._place(audio);
    if (this.state === 'ended') return;
    audio.play().then(() => this.#client._hears('playing'), (error) => {
      if (this.state === 'ended') return;
      if (error.name === 'NotAllowedError') this.#client._hears('blocked'); // no click yet
      emit(this, 'error', error);
    });
  }

  #become(state) {
    if (this.state === state) return;
    if (!OPEN.has(state)) clearTimeout(this.#ringing);
    this.state = state;
    this.#client._showCall();
    this.#sample();
    this.#listen();
    emit(this, 'state', state);
  }

  /** Something of the browser failed: no microphone, or a description that it does not understand. */
  #fault(error) {
    if (this.state === 'ended') return;
    this.error = error;
    emit(this, 'error', error);
    const isMicrophone = !this.local && (NO_MICROPHONE.has(error?.name) || error?.reason === 'NO_MICROPHONE');
    if (this.#isOpen) this.hangup(isMicrophone ? 'no-microphone' : error?.reason ?? 'failed');
  }
}

/** Talking with everybody who is in the voice of one room: a call for each pair. */
export class Voice extends EventTarget {
  /** What is sent, once it is there. */
  local = null;
  #client; #stream; #ownsMicrophone; #over; #given;
  #shown = new Shown((kind, stream) => {
    for (const call of this.calls) this.#showTo(call, kind, stream);
    emit(this, 'showing', this.showing);
  });
  #isOver = false;
  #isMuted = false;

  constructor(client, room, options, over) {
    super();
    this.room = room;
    [this.#client, this.#over, this.#ownsMicrophone] = [client, over, !options.stream];
    this.#given = options.metadata;
    this.#stream = client.closed ? Promise.reject(client.closed) : client.devices._begin(options, this.#shown);
    this.#stream.then((local) => {
      this.local = local;
      if (this.#isMuted) this.mute();
    }).catch(() => {}); // `entered` says it
    /** Resolves when all who are there have been called; rejects, and leaves, without room or microphone. */
    this.entered = Promise.resolve().then(() => this._enter());
    this.entered.catch(() => {});
  }

  get calls() { return [...this.#client.calls.values()].filter((call) => call.room === this.room); }

  /** Whether one's voice is not sent; before there is a microphone, whether it will not be. */
  get muted() { return this.local ? this.local.getAudioTracks().every(({ enabled }) => !enabled) : this.#isMuted; }

  /** Whether nobody else can come in. Whom we ring may be somebody who is not in the voice. */
  get _isFull() {
    return this.calls.filter(({ incoming, state }) => incoming || !OPEN.has(state)).length >= VOICE_MEMBERS - 1;
  }

  /** End these calls, and no others. */
  leave() { return this.#leave(null); }

  /** Stop sending one's voice to all, or go on. */
  async mute(isMuted = true) {
    this.#isMuted = isMuted;
    for (const track of this.local?.getAudioTracks() ?? []) track.enabled = !isMuted;
    for (const call of this.calls) call._tellMuted();
  }

  /** Show one's camera, or share the screen, to all who are in the voice, and to those who come: as in a `Call`. */
  video(what = true) { return this.#shown.set('camera', what); }
  screen(what = true) { return this.#shown.set('screen', what); }
  get showing() { return this.#shown.showing; }

  /** Send text or bytes to all with whom one talks now; resolves when there is room for the next to each of them. */
  async send(data) {
    const sent = this.calls.filter((call) => call._isAnswered).map((call) => call.send(data));
    for (const { reason } of await Promise.allSettled(sent)) if (reason && reason.reason !== 'CALL_ENDED') throw reason;
  }

  #showTo(call, kind, stream) { call[kind === 'camera' ? 'video' : 'screen'](stream ?? false).catch(() => {}); } // it has ended

  async #leave(error) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over();
    const said = this.calls.map((call) => call.hangup('left'));
    this.#shown.end();
    if (this.#ownsMicrophone) this.#stream.then((local) => this.#client.devices.close(local), () => {});
    emit(this, 'ended', error);
    await Promise.all(said);
  }

  /** Call everybody who is in the room. Those who are not in its voice say so; those who enter later call us. */
  async _enter() {
    try {
      const { calls, rooms, userId } = this.#client;
      while (!rooms.has(this.room) && !this.#isOver) {
        await this.#client.join(this.room).catch((error) => {
          if (error.reason !== 'SESSION_LOST') throw error; // there is a new one
        });
      }
      await this.#stream;
      if (this.#client.closed) throw this.#client.closed;
      if (this.#isOver) return;
      const others = [...rooms.get(this.room).keys()].filter((peer) => peer !== userId);
      if (others.length > VOICE_ASKED) throw this.#full(`more than ${VOICE_ASKED + 1} in the room`);
      const asked = others.filter((peer) => !calls.has(peer)).map((peer) => {
        const call = this.#client.call(peer, { stream: this.#stream, room: this.room, metadata: this.#given });
        this.#attend(call);
        return call;
      });
      const answered = asked.map((call) => new Promise((resolve) => call.addEventListener('state', resolve)));
      await Promise.race([Promise.all(answered), pause(ENTER_MS)]);
      if (asked.some(({ reason }) => reason === 'full')) throw this.#full();
    } catch (error) {
      this.#leave(error);
      throw error;
    }
  }

  _admit(call) {
    this.#attend(call);
    call.accept({ stream: this.#stream, metadata: this.#given }); // if that fails it ends, and says why
  }

  #full(msg = `${VOICE_MEMBERS} talk there already`) { return failure('VOICE_FULL', msg); }

  #attend(call) {
    emit(this, 'call', call);
    for (const [kind, stream] of Object.entries(this.showing)) if (stream) this.#showTo(call, kind, stream);
    call.addEventListener('ended', ({ detail: { reason, by } }) => {
      emit(this, 'left', call);
      if (reason === 'full' && by === 'peer') this.#leave(this.#full());
    });
  }
}

/** Connect to a gateway, or to one of several, and stay connected. See tieline.d.ts for the options. */
export async function connect(url, options) {
  const isHere = globalThis.WebSocket && globalThis.RTCPeerConnection;
  const needs = !isHere ? 'tieline.js needs a browser: there is no WebSocket or no RTCPeerConnection here'
    : options?.token === undefined ? 'connect(url, {token}) takes a token: a JWT, or a function that gets one' : '';
  if (needs) throw failure('WRONG_USE', needs);
  return new Client([url].flat(), options)._open();
}
