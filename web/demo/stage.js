/** Everybody with whom one talks, or who rings: heads as large as there is room for. */

import { $, avatar, icon, make, meter, say, show, tell } from '/elements.js';
import { lasted } from '/people.js';
import { word } from '/words.js';

const LARGEST_PX = 150; // a head, and
const SMALLEST_PX = 34;
const BELOW_PX = 78; // name, state and meter under it, or
const BELOW_SMALL_PX = 44; // name and state, where there is little room
const GAP_PX = 14; // between columns, and
const ROW_GAP_PX = 22;
const TILE = 0.6; // the width of a tile by its height

const tiles = new Map(); // by call, and '' for oneself

new ResizeObserver(fit).observe($('tiles').parentElement);

/** Show these calls, and oneself if `me` is given: {name, isMuted, level}. */
export function renderTiles(calls, me) {
  const wanted = [...calls, ...(me ? [''] : [])];
  for (const key of tiles.keys()) if (!wanted.includes(key)) tiles.delete(key);
  for (const key of wanted) if (!tiles.has(key)) tiles.set(key, key === '' ? makeTile(me.name, word('yourLevel')) : makeTile(key.peer, word('levelOf', { name: key.peer })));
  const shown = wanted.map((key) => tiles.get(key));
  if (shown.length !== $('tiles').children.length || shown.some((tile, nth) => tile !== $('tiles').children[nth])) $('tiles').replaceChildren(...shown);
  for (const call of calls) {
    const tile = tiles.get(call);
    tile.className = `tile ${call.state}`;
    tile.classList.toggle('pending', isPending(call));
    tile.classList.toggle('silent', isSilent(call));
    tile.querySelector('.meter').setAttribute('aria-label', word('levelOf', { name: call.peer }));
  }
  if (me) {
    const tile = tiles.get('');
    tile.className = 'tile me';
    tile.classList.toggle('silent', me.isMuted);
    say(tile.querySelector('b'), word('you'));
    say(tile.querySelector('.status'), word(me.isMuted ? 'muted' : 'live'));
    tile.querySelector('.meter').setAttribute('aria-label', word('yourLevel'));
  }
  fit();
}

/** Say of each how it is; once a second, since it has a clock. */
export function renderStatus(statusOf) {
  for (const [call, tile] of tiles) if (call) say(tile.querySelector('.status'), statusOf(call));
}

/** Draw how loud everybody is; `levelOf(call)`, with '' for oneself. `isTold`: for those who hear the page, too. */
export function drawLevels(levelOf, isTold) {
  for (const [call, tile] of tiles) {
    const level = levelOf(call);
    const bar = tile.querySelector('.meter');
    show(bar, level);
    tile.style.setProperty('--level', level.toFixed(3));
    if (isTold) tell(bar, level);
  }
}

/** Whether nobody has accepted it yet. */
export function isPending({ state }) { return state === 'calling' || state === 'waiting' || state === 'ringing'; }

export function statusOf(call, members) {
  if (isPending(call)) return word(call.incoming ? 'called' : pendingWord(call, members.get(call.peer)), { name: call.peer });
  if (call.state !== 'connected') return word(call.state);
  const time = lasted((performance.now() - call.connectedAt) / 1000 || 0);
  const more = isSilent(call) ? word('mutedThere') : word({ poor: 'qualityPoor', lost: 'qualityLost' }[call.quality] ?? '');
  return [time, more].filter(Boolean).join(' · ');
}

/** Of whom we ring: whether it is on its way, waits for them, or rings there. */
function pendingWord({ state }, member) {
  return state === 'waiting' || member?.status === 'away' ? 'waitsForThem' : state;
}

/** Whether the other has said that they are muted. */
function isSilent(call) { return call.peerMuted === true; }

function makeTile(name, label) {
  const status = make('span', { className: 'status' });
  const silent = make('span', { className: 'badge' }, icon('mic-off'));
  const face = make('span', { className: 'face' }, avatar(name), silent);
  return make('figure', {}, face, make('figcaption', {}, make('b', { text: name, title: name }), status), meter(label));
}

/** As many columns as make the heads largest. */
function fit() {
  const { clientWidth: width, clientHeight: height } = $('tiles').parentElement;
  const count = $('tiles').children.length;
  if (!count || !width || !height) return;
  const head = (columns, below) => Math.min(
    ((width + GAP_PX) / columns - GAP_PX) * 0.8, (height + ROW_GAP_PX) / Math.ceil(count / columns) - ROW_GAP_PX - below, LARGEST_PX);
  const ways = Array.from({ length: count }, (_, nth) => nth + 1);
  const shape = (columns) => Math.abs(Math.log(columns / Math.ceil(count / columns) / (width / height / TILE))); // 0 is that of the room
  const worth = (columns, below) => Math.floor(head(columns, below)) - shape(columns) / 10; // of equal ones, the nearest
  const best = (below) => ways.reduce((one, other) => (worth(other, below) > worth(one, below) ? other : one));
  const isTight = head(best(BELOW_PX), BELOW_PX) < 2 * SMALLEST_PX;
  const below = isTight ? BELOW_SMALL_PX : BELOW_PX;
  const columns = best(below);
  const size = Math.max(SMALLEST_PX, Math.floor(head(columns, below)));
  $('tiles').classList.toggle('tight', isTight);
  $('tiles').style.setProperty('--columns', columns);
  $('tiles').style.setProperty('--head', `${size}px`);
}
