// The chat's page: what it shows comes from the chat's backend, and calls go through tieline.js.
import { connect } from './tieline.js';

const user = new URLSearchParams(location.search).get('user') ?? 'ada';
const find = (id) => document.getElementById(id);
const LOOK_MS = 1000; // a phone has its push service; this page looks

let client = null;
let call = null;
let pushes = 0;

async function ask(method, path, body) {
  const headers = { 'X-User': user, 'Content-Type': 'application/json' };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}
const read = async (path) => (await ask('GET', path)).json();

async function wake() {
  const gateway = await (await ask('GET', '/gateway')).text();
  client = await connect(gateway, { token: async () => (await ask('GET', '/token')).text() });
  client.addEventListener('call', ({ detail }) => show(detail));
  client.addEventListener('roster', showChats);
  client.addEventListener('state', showState);
  client.addEventListener('closed', showState);
  showState();
}

async function sleep() {
  await client?.close();
  client = null;
  showState();
}

function showState() {
  find('state').value = client ? client.closed?.message ?? client.state : 'asleep';
}

function show(shown) {
  call = shown;
  const showCall = () => {
    find('call').hidden = call.state === 'ended';
    find('accept').hidden = !(call.incoming && call.state === 'ringing');
    find('call-state').value = `${call.peer}: ${call.state} ${call.reason ?? ''}`;
  };
  call.addEventListener('state', showCall);
  call.addEventListener('error', ({ detail }) => { find('state').value = detail.message; });
  call.addEventListener('ended', () => setTimeout(showCalls, LOOK_MS));
  showCall();
}

function line(text, label, act) {
  const item = document.createElement('li');
  item.append(Object.assign(document.createElement('span'), { textContent: text }));
  if (label) item.append(Object.assign(document.createElement('button'), { textContent: label, onclick: act }));
  return item;
}

async function showChats() {
  const sections = [];
  for (const chat of Object.keys(await read('/chats'))) {
    const members = Object.entries(await read(`/chats/${chat}/members`)).filter(([name]) => name !== user);
    const list = document.createElement('ul');
    list.append(...members.map(([name, status]) =>
      line(`${name} (${status})`, 'Call', () => client && show(client.call(name)))));
    sections.push(Object.assign(document.createElement('h2'), { textContent: chat }), list);
  }
  find('chats').replaceChildren(...sections);
}

async function showCalls() {
  const calls = await read('/calls');
  find('calls').replaceChildren(...calls.map((each) => {
    const other = each.caller === user ? `to ${each.callee}` : `from ${each.caller}`;
    const took = each.duration_s === null ? '' : `, ${Math.round(each.duration_s)} s`;
    return line(`${new Date(each.began).toLocaleTimeString()} ${other}: ${each.state} ${each.reason ?? ''}${took}`);
  }));
}

async function look() {
  const sent = await read('/pushes');
  for (const push of sent.slice(pushes)) {
    if (!client && push.what === 'wake' && push.until > Date.now()) find('asleep').click();
    if (!client && push.what === 'missed') find('state').value = `asleep; ${push.caller} has called`;
  }
  pushes = sent.length;
}

find('me').value = user;
find('accept').onclick = () => call.accept();
find('hangup').onclick = () => call.hangup();
find('asleep').onchange = ({ target }) => (target.checked ? sleep() : wake());
find('create').onsubmit = async (event) => {
  event.preventDefault();
  const { chat, members } = Object.fromEntries(new FormData(event.target));
  await ask('POST', `/chats/${chat}`);
  for (const name of members.split(/\s+/).filter(Boolean)) await ask('PUT', `/chats/${chat}/members/${name}`);
  await showChats();
};

await wake();
await Promise.all([showChats(), showCalls()]);
setInterval(() => look().catch(showState), LOOK_MS);
