/** The signaling of a call, drawn as a sequence of messages between two ends, each with its milliseconds. */

const NEAR_PX = 24; // less than a message: so close to its end, the list is read at its end

export class Timeline {
  #list; #began = null; #rows = new Map(); #peer = ''; #follows = true;

  constructor(list) {
    this.#list = list;
    list.addEventListener('scroll', () => { this.#follows = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_PX; });
    new ResizeObserver(() => this.#follow()).observe(list);
  }

  /** Begin a new one: of the messages with `peer`, or with anybody if that is empty. */
  clear(peer) {
    this.#list.replaceChildren();
    this.#follows = true;
    this.#rows.clear();
    this.#began = null;
    this.#peer = peer;
    document.getElementById('other-end').textContent = peer || '…';
  }

  /** Add a `signal` event of the client; an ack goes to the message that it is about. */
  add({ direction, cmd, peer, data, at, ack, ms }, isNamed) {
    if (this.#peer && peer !== this.#peer) return;
    if (direction === 'ack') {
      const note = this.#rows.get(data)?.querySelector('.ack');
      if (note) note.textContent = `${ack} · ${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
      return this.#follow();
    }
    this.#began ??= at;
    const row = document.createElement('li');
    row.className = direction;
    const parts = {
      at: shown(at - this.#began),
      cmd: cmd.replace('WEBRTC_', '').replace('ICE_', ''),
      about: [isNamed ? peer : '', about(cmd, data)].filter(Boolean).join(' · '),
      ack: '',
    };
    for (const [name, text] of Object.entries(parts)) {
      const part = document.createElement('span');
      part.className = name;
      part.textContent = text;
      row.append(part);
    }
    this.#rows.set(data, row);
    this.#list.append(row);
    this.#follow();
  }

  /** Show the end, unless somebody reads what is further up. */
  #follow() {
    if (this.#follows) this.#list.scrollTop = this.#list.scrollHeight;
  }
}

function shown(ms) {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function about(cmd, data) {
  if (cmd === 'WEBRTC_HANGUP') return data?.reason ?? '';
  if (cmd === 'WEBRTC_INFO') {
    const asks = data?.hears === false ? 'other path' : data?.channel ? 'channel' : data?.tracks ? 'an offer' : '';
    return data?.ringing ? 'ringing' : { true: 'muted', false: 'not muted' }[data?.muted] ?? asks;
  }
  if (cmd !== 'WEBRTC_ICE_CANDIDATE') return `${Math.round((data?.sdp?.length ?? 0) / 102.4) / 10} kB`;
  const [, , protocol, , , , , type] = (data?.candidate ?? '').split(' ');
  return type ? `${type} ${protocol.toLowerCase()}` : 'end';
}
