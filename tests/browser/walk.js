/*
 * A random walk over the people of several worlds, in one page: what they do, and what must hold whatever they do.
 *
 * Each person has a frame of its own, which can be reloaded or killed as a page can, and tieline.js in it. The
 * connections are real, to the gateways and between the people; the microphones are streams without sound. `test_walk`
 * runs it. The same seed does the same things in the same order; when, is the machine's to say.
 */
async ({ urls, rooms, worlds, steps, rounds, patienceMs, windowMs, ringMs }) => {
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const audio = new AudioContext();
  const broken = [];
  const LOOK_MS = 50; // between two looks at whether people agree
  const LONGEST_LOOK_MS = 1000; // of which no more is counted, if the page stood still meanwhile
  const EARLIER = 40; // entries of the log that are kept from the round before
  const ATTEMPTS = 5; // to connect: a gateway has just been killed, or the page has stood still
  const walk = window.walk = { steps: 0, done: false, broken, patienceMs, slowest: 0, did: {}, ends: {} };

  /** A sequence of random numbers from 0 to 1. */
  const randomly = (seed) => () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };

  const ORDER = ['calling', 'waiting', 'ringing', 'connecting', 'connected', 'interrupted', 'ended'];
  const isRinging = ({ state }) => ORDER.indexOf(state) < ORDER.indexOf('connecting');

  /** Somebody: a frame, and the client in it, while there is one. */
  class Person {
    frame = null;
    client = null;
    voices = new Set();
    microphones = [];
    sockets = [];
    isAside = false;
    litFor = 0; // how often a microphone was on without a call, one look after the other

    constructor(world, user, token, first) {
      Object.assign(this, { world, user, token, name: user.slice(-1) });
      this.urls = first ? [...urls].reverse() : urls;
    }

    log(what) { this.world.log.push(`${Math.round(performance.now())} ${this.name} ${what}`); }

    async come() {
      const frame = this.frame = document.createElement('iframe');
      Object.assign(frame, { hidden: true, srcdoc: '<p>' });
      const loaded = new Promise((resolve) => { frame.onload = resolve; });
      document.body.append(frame);
      await loaded; // before that Firefox has another window in it
      const page = this.page = frame.contentWindow;
      const { random, world } = this;
      page.Math.random = () => 0.02; // reconnects without a long wait
      page.addEventListener('pagehide', (event) => this.isKilled && event.stopImmediatePropagation(), true);
      for (const type of ['error', 'unhandledrejection']) {
        page.addEventListener(type, (event) => world.fault(`${this.name}: ${type}: ${event.message ?? event.reason}`));
      }
      const microphones = this.microphones = [];
      Object.defineProperty(page.navigator, 'mediaDevices', { value: { getUserMedia: async () => {
        await pause(30 * world.random());
        const { stream } = audio.createMediaStreamDestination();
        microphones.push(...stream.getTracks());
        return stream;
      } } });
      const sockets = this.sockets = [];
      page.WebSocket = class extends page.WebSocket {
        constructor(...args) {
          super(...args);
          sockets.push(this);
        }
      };
      const { connect } = await page.eval(`import(${JSON.stringify(new URL('/tieline.js', location).href)})`);
      const options = { token: () => this.token, play: false };
      let client = null;
      for (let left = ATTEMPTS; !client; left -= 1) { // an application would offer to try again
        client = await connect(this.urls, options).catch((error) => {
          this.log(`${error}`);
          if (left === 1) throw error;
          return pause(500);
        });
      }
      this.client = client;
      for (const type of ['reconnecting', 'resumed', 'reset', 'closed']) {
        client.addEventListener(type, () => this.log(type));
      }
      client.addEventListener('state', ({ detail }) => detail === 'checking' && this.log(detail));
      client.addEventListener('signal', ({ detail: { direction, cmd, peer, data, ack } }) => {
        if (cmd === 'WEBRTC_ICE_CANDIDATE') return;
        const what = [data.call, data.room, data.reason, data.server && 'server', data.ringing && 'rings', ack].filter(Boolean).join(' ');
        this.log(`${direction} ${cmd.slice(7)} ${peer.slice(-1)} ${what}`);
      });
      client.addEventListener('call', ({ detail }) => this.watch(detail));
      const join = () => client.join(rooms[0] + world.number);
      await join().catch((error) => (error.reason === 'SESSION_LOST' ? join() : Promise.reject(error)));
    }

    /** Note what becomes of a call, and that it goes the way a call goes. */
    watch(call) {
      const way = [call.state];
      const who = call.peer.slice(-1);
      this.log(`${call.incoming ? 'is rung by' : 'rings'} ${who}`);
      call.addEventListener('state', ({ detail }) => {
        this.log(`with ${who}: ${detail}`);
        const [from, to] = [way.at(-1), detail].map((state) => ORDER.indexOf(state));
        const isBack = from === ORDER.indexOf('interrupted') && detail === 'connected';
        const isAgain = way.at(-1) === 'waiting' && detail === 'calling'; // the other has come back
        if ((to <= from && !isBack && !isAgain) || to < 0) this.world.fault(`${this.name}: ${way.join(', ')}, then ${detail}`);
        way.push(detail);
      });
      call.addEventListener('ended', ({ detail: { reason, by } }) => {
        walk.ends[reason] = (walk.ends[reason] ?? 0) + 1;
        this.log(`with ${who}: ended, ${reason} by ${by}`);
      });
    }

    enter(room) {
      const voice = this.client.enterVoice(room);
      if (this.voices.has(voice)) return;
      this.voices.add(voice);
      voice.addEventListener('ended', () => this.voices.delete(voice));
      voice.addEventListener('call', ({ detail }) => this.watch(detail));
    }

    /** Be gone: with a goodbye, as of a page that is closed, or without one, as of a tab that crashes. */
    go(isKilled) {
      this.isKilled = isKilled;
      if (!isKilled) this.page.dispatchEvent(new this.page.PageTransitionEvent('pagehide', { persisted: false }));
      this.frame.remove();
      for (const track of this.microphones) track.stop();
      [this.client, this.frame, this.microphones, this.isAside] = [null, null, [], false];
      this.voices.clear();
    }

    get isLit() { return this.microphones.some(({ readyState }) => readyState === 'live'); }

    /** Look whether a microphone is on, and nothing shows it: for longer than it takes to give it back. */
    look() {
      const isShown = !this.client || this.client.calls.size > 0 || this.voices.size > 0;
      this.litFor = this.isLit && !isShown ? this.litFor + 1 : 0;
      if (this.litFor === 6) this.world.fault(`${this.name}: the microphone is on, and there is no call`);
    }
  }

  /** What somebody may do; with how often, and when it can be done. */
  const pick = (list, random) => list[Math.floor(list.length * random())];
  const ringing = ({ client }) => [...client.calls.values()].filter((call) => call.incoming && isRinging(call));
  const open = ({ sockets }) => sockets.filter(({ readyState }) => readyState === 1);
  const ACTS = {
    ring: [6, (me, { other }) => {
      const isNew = !me.client.calls.has(other.user);
      const call = me.client.call(other.user);
      if (isNew) me.watch(call);
    }],
    accept: [6, (me) => ringing(me).forEach((call) => call.accept())],
    decline: [2, (me) => ringing(me).forEach((call) => call.decline())],
    hangup: [4, (me, { random }) => me.client.calls.size && pick([...me.client.calls.values()], random).hangup()],
    mute: [2, (me, { random }) => me.client.calls.size && pick([...me.client.calls.values()], random).mute(random() < 0.5)],
    join: [3, (me, { room }) => void me.client.join(room).catch(() => {})],
    leave: [2, (me, { room }) => void me.client.leave(room).catch(() => {})],
    enter: [2, (me, { room }) => me.enter(room)],
    out: [2, (me) => me.voices.forEach((voice) => voice.leave())],
    cut: [2, (me) => open(me).at(-1)?.close(3999)],
    swallow: [0.5, (me) => { // nothing comes or goes any more, and nobody says so
      for (const socket of open(me)) Object.assign(socket, { send: () => {}, onmessage: () => {} });
      me.page.dispatchEvent(new Event('online'));
    }],
    aside: [0.5, (me) => {
      me.isAside = true;
      me.page.dispatchEvent(new me.page.PageTransitionEvent('pagehide', { persisted: true }));
    }],
    reload: [0.7, async (me) => { me.go(false); await me.come(); }],
    crash: [0.7, async (me) => { me.go(true); await me.come(); }],
    kill: [0.7, (me) => me.go(true)],
  };
  const KINDS = Object.keys(ACTS);
  const TOTAL = KINDS.reduce((sum, kind) => sum + ACTS[kind][0], 0);

  /** Two or three people, their rooms and their random numbers. */
  class World {
    log = [];
    people = [];

    constructor(number, { seed, tokens }) {
      Object.assign(this, { number, seed, random: randomly(seed) });
      this.people = Object.entries(tokens).map(([user, token], at) => new Person(this, user, token, at === 1));
    }

    fault(what) { broken.push({ seed: this.seed, round: this.round, what, log: this.log.slice(-300) }); }

    async act() {
      const { random } = this;
      const me = pick(this.people, random);
      const other = pick(this.people.filter((one) => one !== me), random);
      const room = pick(rooms, random) + this.number;
      let at = random() * TOTAL;
      const kind = KINDS.find((one) => (at -= ACTS[one][0]) < 0);
      walk.steps += 1;
      walk.did[kind] = (walk.did[kind] ?? 0) + 1;
      if (!me.client) {
        me.log('comes back');
        return me.come();
      }
      if (me.isAside) return this.back(me);
      me.log(`${kind} ${kind === 'ring' ? other.name : ''}`);
      await ACTS[kind][1](me, { other, room, random });
    }

    back(me) {
      me.log('is shown again');
      me.isAside = false;
      me.page.dispatchEvent(new me.page.PageTransitionEvent('pageshow', { persisted: true }));
    }

    /** Say where two disagree about the call that they have, or have not; null: nowhere. */
    disagreement() {
      for (const me of this.people) {
        for (const other of this.people) {
          if (me.user >= other.user || (!me.client && !other.client)) continue;
          const calls = [me.client?.calls.get(other.user), other.client?.calls.get(me.user)];
          const [mine, theirs] = calls;
          if (!mine && !theirs) continue;
          const isSame = mine && theirs && mine.callId === theirs.callId && isRinging(mine) === isRinging(theirs);
          const rings = isSame && mine.state === 'ringing' && theirs.state === 'ringing' && mine.incoming !== theirs.incoming;
          const knows = isSame && mine.muted === theirs.peerMuted && theirs.muted === mine.peerMuted;
          const talks = knows && mine.state === 'connected' && theirs.state === 'connected';
          if (rings || talks) continue;
          const said = calls.map((call) => (call ? `${call.incoming ? 'in' : 'out'} ${call.state} ${call.callId} ${call.muted} ${call.peerMuted} `
            + `${call.pc?.signalingState} ${call.pc?.connectionState} ${call.room ?? ''}` : 'none'));
          return `${me.name} has ${said[0]}; ${other.name} has ${said[1]}`;
        }
      }
      return null;
    }

    /**
     * Wait until something is so, which must be soon; or say what is not. While the page as a whole stands still nobody in
     * it can do anything: of such a time no more counts than of one look.
     */
    async until(what, limitMs) {
      let waitedMs = 0;
      for (let not, looked = performance.now(); (not = what());) {
        if (waitedMs > limitMs()) {
          this.fault(`not so in the end: ${not}`);
          return false;
        }
        await pause(LOOK_MS);
        waitedMs += Math.min(performance.now() - looked, LONGEST_LOOK_MS);
        looked = performance.now();
      }
      walk.slowest = Math.max(walk.slowest, waitedMs);
      return true;
    }

    async rest() {
      const limitMs = () => walk.patienceMs;
      await this.until(() => this.disagreement(), () => walk.patienceMs + windowMs);
      for (const one of this.people) if (one.isAside) this.back(one);
      for (const one of this.people) if (!one.client) await one.come();
      // What rings now ends by itself, or somebody hangs up; who talks is hung up by one of the two.
      const isLeft = this.random() < 0.1;
      const rings = [];
      for (const one of this.people) {
        for (const voice of one.voices) voice.leave();
        for (const call of [...one.client.calls.values()]) {
          if (isLeft && isRinging(call)) rings.push(call);
          else call.hangup();
        }
        for (const room of rooms) one.client.join(room + this.number).catch(() => {});
        if (this.random() < 0.5) await pause(20);
      }
      const leftOver = () => this.people.flatMap(({ name, client }) => [...client.calls.values()].map(({ peer, state }) => (
        `${name} has a call with ${peer.slice(-1)} that is ${state}`))).join('; ');
      const left = () => {
        // It may have been accepted before, by somebody who is not connected: then it is a call when that one is back.
        for (const call of rings) if (!isRinging(call)) call.hangup();
        return leftOver();
      };
      await this.until(left, () => walk.patienceMs + (isLeft ? ringMs : 0));
      const lit = () => this.people.filter((one) => one.isLit).map(({ name }) => `the microphone of ${name} is off`).join();
      await this.until(lit, limitMs);
      for (const one of this.people) for (const call of [...one.client.calls.values()]) call.hangup();
    }

    async walk() {
      for (const one of this.people) await one.come();
      for (this.round = 0; this.round < rounds && broken.length === 0; this.round += 1) {
        this.log.splice(0, this.log.length - EARLIER, `round ${this.round} is over`);
        for (let step = 0; step < steps && broken.length === 0; step += 1) {
          await this.act();
          await pause(pick([0, 0, 5, 20, 60, 150], this.random));
        }
        await this.rest();
      }
      for (const one of this.people) if (one.client) one.go(false);
    }
  }

  const all = worlds.map((world, number) => new World(number, world));
  const looking = setInterval(() => all.forEach(({ people }) => people.forEach((one) => one.look())), 200);
  await Promise.all(all.map((world) => world.walk().catch((error) => world.fault(`${error} ${error?.stack ?? ""}`))));
  clearInterval(looking);
  await audio.close();
  walk.done = true;
}
