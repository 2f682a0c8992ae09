/** What other tabs of this browser do: a user who comes in twice replaces oneself, and ends one's own calls. */

const ANSWER_MS = 250; // for another tab to say that it is there: tabs of one browser are quick

export class Tabs {
  #channel = globalThis.BroadcastChannel ? new BroadcastChannel('tieline') : null;
  #isMine = () => false;
  #heard = () => {};

  constructor() {
    this.#channel?.addEventListener('message', ({ data }) => {
      if (data.asks && this.#isMine(data.asks)) this.#channel.postMessage({ has: data.asks });
      if (data.has) this.#heard(data.has);
    });
  }

  /** Whether another tab has this user. */
  async has(user) {
    if (!this.#channel) return false;
    return new Promise((resolve) => {
      const clock = setTimeout(() => resolve(false), ANSWER_MS);
      this.#heard = (has) => {
        if (has !== user) return;
        clearTimeout(clock);
        resolve(true);
      };
      this.#channel.postMessage({ asks: user });
    });
  }

  /** Answer others from now on: `isMine(user)` says whether this tab has a user. */
  answer(isMine) { this.#isMine = isMine; }
}
