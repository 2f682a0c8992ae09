/** Types of tieline.js. What the words mean: docs/protocol.md. Times are in milliseconds. */

export interface Member {
  userId: string;
  status: 'online' | 'away';
  /** Whether this user may ring others. With a server of version 0.1 true of whoever joined after us, until `members` is asked. */
  voice: boolean;
  joinedAt: number;
  /** In a call, and its client says so (`showCalls`). */
  inCall?: boolean;
}

export interface Options {
  /**
   * A JWT, or a function that gets one for every connection. With a function an expired token is no end, and neither is
   * its trouble while a connection is made again: it is asked again, for as long as it takes. `close` ends that.
   */
  token: string | (() => string | Promise<string>);
  /** Calls at a time; a caller beyond that hears `busy`. Default 1. Voice rooms count, too, also one with nobody else in it. */
  maxCalls?: number;
  /** Whether the members of one's rooms see that one is in a call (`inCall`). Default false. */
  showCalls?: boolean;
  /** Whether what the other says is played. Default true; else play `call.remote` yourself. */
  play?: boolean;
  /** The constraints of every microphone that is opened, such as `{ noiseSuppression: false }`. Default true. */
  audio?: boolean | MediaTrackConstraints;
  /** More for every RTCPeerConnection, such as `iceTransportPolicy`. The ICE servers come from the gateway. */
  rtc?: RTCConfiguration;
}

export interface CallOptions {
  /** What to send. Default: the microphone, which is asked for, and given back in the end. */
  stream?: MediaStream | Promise<MediaStream>;
  /** The constraints of the microphone, instead of those of `connect`. */
  audio?: boolean | MediaTrackConstraints;
  /** Show the camera from the beginning: true, constraints or a stream. Without a camera it becomes a call without. */
  video?: boolean | MediaTrackConstraints | MediaStream;
  /** Anything that JSON can hold: the other finds it in `call.metadata`. It counts for the longest message of the server. */
  metadata?: unknown;
}

/**
 * Connect to a gateway, or to one of several, as the user of the token, and stay connected. A URL may be relative
 * to the page. Rejects with `UNREACHABLE` if no gateway lets us in: a browser does not say why. What the function for
 * tokens throws the first time is thrown here.
 */
export function connect(url: string | string[], options: Options): Promise<Client>;

/** What an application ends calls with. To add words of your own: `declare module 'tieline' { interface OwnReasons { 'out-of-ink': true } }`. */
export interface OwnReasons {}

/** The server's words for a refusal (docs/protocol.md, section 5). */
export type ServerReason =
  | 'BAD_MESSAGE' | 'UNKNOWN_COMMAND' | 'AMBIGUOUS_NAMES' | 'NOT_IN_SAME_ROOM' | 'TARGET_OFFLINE' | 'NO_MATCHING_OFFER'
  | 'NO_VOICE_PERMISSION' | 'SENDER_MISMATCH' | 'ROOM_FORBIDDEN' | 'BAD_TOKEN' | 'ROOM_FULL' | 'RATE_LIMITED'
  | 'TOO_MANY_CANDIDATES' | 'TOO_MANY_ROOMS' | 'INTERNAL';

export type ErrorReason =
  | ServerReason
  /** No gateway has let us in; the connection has ended; no answer came; a new session began before it. */
  | 'UNREACHABLE' | 'CLOSED' | 'NO_REPLY' | 'SESSION_LOST'
  /** Longer than the server takes; six talk in this room, or it is too large to ask all its members. */
  | 'TOO_LONG' | 'VOICE_FULL'
  /** The function for tokens failed, or took too long; what was given is no token. */
  | 'NO_TOKEN' | 'UNUSABLE_TOKEN'
  /** The call was over before; this browser chooses the speaker itself. */
  | 'CALL_ENDED' | 'NO_SPEAKER_CHOICE'
  /** The page gets none; this call does not ring here; something is missing. `msg` says what to do. */
  | 'NO_MICROPHONE' | 'NOT_RINGING' | 'WRONG_USE'
  | '';

/** Why a call has ended. */
export type EndReason =
  | 'hangup' | 'decline' | 'busy' | 'cancel' | 'timeout' | 'disconnected' | 'failed' | 'no-microphone' | 'closed'
  /** A room was left, or one was removed from it; not in the voice of the room; six are. */
  | 'left' | 'kicked' | 'absent' | 'full'
  /** By another call; the server says that it was over. */
  | 'replaced' | 'ended' | 'answered'
  | ErrorReason | keyof OwnReasons;

export class TielineError extends Error {
  /** The server's code, a WebSocket close code, or 0. */
  code: number;
  /** The server's text (in Chinese, as the protocol has it), or what to do about it. `message` says it in English. */
  msg: string;
  /** What has become of the call that a refused message was about; '' if that is not why. */
  fate: 'ended' | 'replaced' | 'answered' | '';
  /** The word to act on. */
  reason: ErrorReason;
  cmd: string;
  requestId: string;
}

type Listener<Detail> = ((event: CustomEvent<Detail>) => void) | { handleEvent(event: CustomEvent<Detail>): void } | null;

/** An EventTarget whose events are known, each a CustomEvent. */
declare class Target<Events> extends EventTarget {
  addEventListener<Type extends keyof Events & string>(
    type: Type, listener: Listener<Events[Type]>, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Type extends keyof Events & string>(
    type: Type, listener: Listener<Events[Type]>, options?: boolean | EventListenerOptions): void;
}

export interface Signal {
  direction: 'out' | 'ack' | 'in';
  cmd: 'WEBRTC_OFFER' | 'WEBRTC_ANSWER' | 'WEBRTC_ICE_CANDIDATE' | 'WEBRTC_HANGUP' | 'WEBRTC_INFO';
  peer: string;
  data: unknown;
  /** When, as performance.now() counts. */
  at: number;
  /** Of an ack: what became of the message, and how long that took. `data` is that of the message. */
  ack?: 'relayed' | 'held';
  ms?: number;
}

export interface Missed {
  peer: string;
  /** `busy`: we were in another call, and it did not ring; else how the call has ended. */
  reason: EndReason;
  /** The one that rang; null if none did. */
  call: Call | null;
  /** When it was over, in Unix milliseconds. */
  at: number;
}

/** checking: nothing has been heard from the server for some 12 s, and an answer is waited for. */
export type ClientState = 'connected' | 'checking' | 'reconnecting' | 'closed';

export interface ClientEvents {
  state: ClientState;
  /** Somebody rings: `accept` or `decline`. */
  call: Call;
  /** Somebody has rung, and nobody has accepted or declined it here. */
  missed: Missed;
  /** The members of a room have changed, or their status. Changes that come together are one event. */
  roster: { room: string; members: Member[] };
  /** The connection is lost, and being made again. */
  reconnecting: TielineError;
  /** It is back, and nothing was lost with it. */
  resumed: unknown;
  /** It is back too late: all calls have ended, the rooms are being joined again. */
  reset: unknown;
  /** It has ended for good. `code` is the close code: 4500 means that this user has connected elsewhere. */
  closed: TielineError;
  /** Something that nobody waits for has failed; NO_TOKEN and UNUSABLE_TOKEN once for each connection that is lost. */
  error: TielineError;
  /** The application's backend says something to this user, or to a room. */
  message: { room?: string; data: unknown };
  /** The token is about to expire. With a function as `token` nothing needs to be done. */
  tokenexpiring: { expiresAt: number };
  /** What others say is heard, or the browser plays nothing before a click or a key: then it is played, or by `playSound`. */
  sound: 'playing' | 'blocked';
  /** A message of a call was sent, acknowledged or received: for showing, and for finding out what is slow. */
  signal: Signal;
}

export class Client extends Target<ClientEvents> {
  private constructor();
  readonly userId: string;
  /** Room -> user -> member, of the rooms one has joined. */
  readonly rooms: Map<string, Map<string, Member>>;
  /** The calls that have not ended, by the other's user id. */
  readonly calls: Map<string, Call>;
  readonly state: ClientState;
  /** How all has ended; null before. */
  readonly closed: TielineError | null;
  /** Become a member of a room; resolves to its members, oneself included. */
  join(room: string): Promise<Member[]>;
  members(room: string): Promise<Member[]>;
  /** Stop being a member, and end the calls with those whom one meets in no other room (`left`). */
  leave(room: string): Promise<void>;
  /** Ring somebody. How it goes is told by the call's events. Somebody who is ringing us is accepted. */
  call(peer: string, options?: CallOptions): Call;
  /** Talk with everybody who enters the voice of this room: six at most, of at most 21 members. */
  enterVoice(room: string, options?: CallOptions): Voice;
  iceServers(): Promise<RTCIceServer[]>;
  readonly devices: Devices;
  readonly sound: 'playing' | 'blocked';
  /** Play what the browser has blocked: to be called by a click or a key. */
  playSound(): Promise<void>;
  /** End all calls and the session. */
  close(): Promise<void>;
}

export interface DeviceList {
  /** Before the page may use the microphone their ids and labels are ''. */
  microphones: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
  cameras: MediaDeviceInfo[];
}

export interface DeviceEvents {
  /** Something was plugged in or out. */
  change: DeviceList;
  /** Another one is used: it was chosen, the one before has gone, or it is back. `device` is null without a microphone, and for the speaker that the browser chooses. */
  switched: { kind: 'microphone' | 'speaker'; why: 'chosen' | 'gone' | 'back'; device: { deviceId: string; label: string } | null };
  /** There was no camera to begin a call with. */
  error: Error;
}

/** Microphones and speakers. When the one in use goes, calls go on with another; when the chosen one is back, with that. */
export class Devices extends Target<DeviceEvents> {
  private constructor();
  /** The ids of those that were chosen; '' is the browser's choice. */
  readonly microphone: string;
  readonly speaker: string;
  /** The constraints of what is opened from now on; `useMicrophone(devices.microphone)` opens it anew. */
  audio: boolean | MediaTrackConstraints;
  /** Firefox answers only when somebody looks at the page. */
  list(): Promise<DeviceList>;
  /** Open the microphone, for a look at it before a call, whose `stream` it may become; it follows `useMicrophone`. */
  open(options?: { audio?: boolean | MediaTrackConstraints; video?: boolean | MediaTrackConstraints }): Promise<MediaStream>;
  /** Give back what `open` has opened. */
  close(stream: MediaStream): void;
  /** Choose one, for calls that run, too. If it cannot be opened nothing changes. */
  useMicrophone(deviceId?: string): Promise<void>;
  /** Rejects with NO_SPEAKER_CHOICE where the browser has none. */
  useSpeaker(deviceId?: string): Promise<void>;
}

/** What getDisplayMedia takes. */
export interface ScreenOptions {
  video?: boolean | MediaTrackConstraints;
  audio?: boolean | MediaTrackConstraints;
  [more: string]: unknown;
}

/** What is shown to others. */
export interface Showing {
  camera: MediaStream | null;
  screen: MediaStream | null;
}

export type Quality = 'good' | 'poor' | 'lost';

/**
 * calling: it does not ring there yet; waiting: the other is away or being woken, and rung when there; ringing: there, or
 * here. With a server or a client of version 0.1 a call rings as soon as the server has it.
 */
export type CallState = 'calling' | 'waiting' | 'ringing' | 'connecting' | 'connected' | 'interrupted' | 'ended';

export type TrackKind = 'microphone' | 'camera' | 'screen';

export interface CallEvents {
  state: CallState;
  /** Something to hear or see has come from the other; it is in `remote`. */
  track: { track: MediaStreamTrack; stream: MediaStream; kind: TrackKind; streams: readonly MediaStream[] };
  /** The other shows it no more. */
  untrack: { track: MediaStreamTrack; stream: MediaStream; kind: TrackKind };
  /** What we show has changed, also by the browser's own *stop sharing*. */
  showing: Showing;
  /** What the other has sent with `send`. */
  message: string | ArrayBuffer;
  /** How good the line is has changed; of the last seconds, the share of lost packets of the worse direction, and times. */
  quality: { quality: Quality; was: Quality | null; loss: number; rttMs: number | null; jitterMs: number | null };
  /** Whether the other speaks has changed. */
  speaking: boolean;
  ended: { reason: EndReason; by: 'me' | 'peer' | 'server' };
  /** Whether the other is muted, as its client says, has changed. */
  peermuted: boolean;
  /** Also: the browser does not play sound before somebody has clicked (NotAllowedError). */
  error: Error;
}

export class Call extends Target<CallEvents> {
  private constructor();
  readonly peer: string;
  readonly incoming: boolean;
  /** What the server calls it, in its logs and events too; null before that is known, and with a server of version 0.1. */
  readonly callId: string | null;
  /** Of a call of a voice room. */
  readonly room: string | undefined;
  readonly state: CallState;
  /** Why it has ended; a word of the other's own is not among those of the type. */
  readonly reason: EndReason | null;
  readonly error: Error | null;
  /** What is sent, and what is received. */
  readonly local: MediaStream | null;
  readonly remote: MediaStream;
  /** What plays, unless `play` is false. */
  readonly audio: HTMLAudioElement | null;
  readonly pc: RTCPeerConnection | null;
  /** Whether no sound of ours is sent, or will be. */
  readonly muted: boolean;
  /** The same of the other, as its client says; false with one of version 0.1. */
  readonly peerMuted: boolean;
  /** What the other has sent with the call, or with the answer to it. It is for you to look whether it is what you expect. */
  readonly metadata: unknown;
  /** Null until the call is connected. */
  readonly quality: Quality | null;
  readonly speaking: boolean;
  readonly showing: Showing;
  /** How loud the other is played, from 0 to 1. */
  volume: number;
  /** Answer a call that rings. Rejects, with NOT_RINGING for one that does not (any more), and if there is no microphone. */
  accept(options?: CallOptions): Promise<void>;
  decline(): Promise<void>;
  /** End the call, or stop ringing; resolves when the server knows. */
  hangup(reason?: EndReason | (string & {})): Promise<void>;
  /** Stop sending sound, or go on; of one track, or of all, those to come included. */
  mute(isMuted?: boolean, track?: MediaStreamTrack | null): void;
  /**
   * Show one's camera at any time, also before the call is answered: true, constraints, or a stream of your own.
   * Resolves to what is shown; `video(false)` stops it. The two ends negotiate anew.
   */
  video(what?: boolean | MediaTrackConstraints | MediaStream): Promise<MediaStream | null>;
  /** Share the screen, the same way, in a click. */
  screen(what?: boolean | ScreenOptions | MediaStream): Promise<MediaStream | null>;
  /**
   * Send text or bytes to the other, in order. Before the call is connected it waits. Resolves when there is room for
   * more, not when it has arrived; rejects with TOO_LONG (of most browsers, more than 256 KiB) or CALL_ENDED, and with
   * NO_VOICE_PERMISSION if we may only answer and the other end opens no channel for us: its client is older.
   */
  send(data: string | ArrayBuffer | ArrayBufferView | Blob): Promise<void>;
  /** Send one more track; the two ends negotiate anew. */
  addTrack(track: MediaStreamTrack, ...streams: MediaStream[]): RTCRtpSender;
  removeTrack(sender: RTCRtpSender): void;
  /** Look for another path. Done by itself when the media stops or the network changes. */
  restart(): void;
  stats(): Promise<CallStats>;
}

export interface CallStats {
  /** relay: through a TURN server; srflx: through NAT; host, prflx: direct. Null before there is one. */
  path: 'relay' | 'srflx' | 'prflx' | 'host' | null;
  rttMs: number | null;
  jitterMs: number | null;
  /** Packets. */
  received: number;
  lost: number;
  sent: number;
  /** From 0 to 1. */
  levelIn: number;
  levelOut: number;
  /** The share of our packets that the other misses, as it says; null before it has. */
  lossOut: number | null;
  /** Grows as long as anything comes: sound, pictures, and what keeps the line open. */
  heard: number;
  /** Of all sound so far, as RTCStats have it. */
  energyIn: number;
  energyOut: number;
}

export interface VoiceEvents {
  /** A call with somebody begins, and is over. */
  call: Call;
  left: Call;
  showing: Showing;
  /** Why it has ended, if that was not asked for. */
  ended: TielineError | null;
}

export class Voice extends Target<VoiceEvents> {
  private constructor();
  readonly room: string;
  readonly calls: Call[];
  /** What is sent; null until it is there. */
  readonly local: MediaStream | null;
  readonly muted: boolean;
  /** Resolves when everybody who is there has answered, in 5 s at the latest; rejects with VOICE_FULL, or if there is no microphone. */
  readonly entered: Promise<void>;
  leave(): Promise<void>;
  mute(isMuted?: boolean): Promise<void>;
  readonly showing: Showing;
  /** As those of a call; to all who are in the voice, and to those who come. */
  video(what?: boolean | MediaTrackConstraints | MediaStream): Promise<MediaStream | null>;
  screen(what?: boolean | ScreenOptions | MediaStream): Promise<MediaStream | null>;
  /** Send to all with whom one talks now. */
  send(data: string | ArrayBuffer | ArrayBufferView | Blob): Promise<void>;
}

export {};
