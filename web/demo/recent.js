/** The calls of this tab, newest first, those that were missed marked. They last as long as the tab, reloads included. */

const MOST = 20; // are kept

export class Recent {
  #key; #calls;

  /** Each user and room has a list of its own. */
  constructor(user, room) {
    this.#key = `recent:${JSON.stringify([user, room])}`;
    try {
      this.#calls = JSON.parse(sessionStorage.getItem(this.#key)) ?? [];
    } catch { // somebody has written something else there, or the browser keeps nothing
      this.#calls = [];
    }
  }

  get all() { return this.#calls; }

  /** How many were missed since `see` was called. */
  get missed() { return this.#calls.filter(({ isNew }) => isNew).length; }

  /** Add a call with `peer`; `kind` is in, out or missed. */
  add(peer, kind, seconds = 0) {
    this.#calls = [{ peer, kind, seconds, at: Date.now(), isNew: kind === 'missed' }, ...this.#calls].slice(0, MOST);
    this.#keep();
  }

  /** They have been seen. */
  see() {
    if (this.missed === 0) return;
    for (const call of this.#calls) call.isNew = false;
    this.#keep();
  }

  #keep() {
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(this.#calls));
    } catch { /* then the list lasts as long as the page */ }
  }
}
