// A page of React that uses the hook of web/examples, installed from the package as anybody would.

import { createRoot } from 'react-dom/client';
import { useTieline } from './use-tieline';

const about = new URLSearchParams(location.search);
const given = (name: string) => about.get(name) ?? '';

function Room() {
  const { members, call, state, error } = useTieline(given('url'), async () => given('token'), 'demo');
  return (
    <main>
      <p id="room">{error ? error.message : `${state}: ${members.length} here`}</p>
      <p id="call">{call ? `${call.peer.split('-')[0]} ${call.state}` : 'no call'}</p>
      {call?.incoming && call.state === 'ringing' && <button onClick={() => call.accept()}>Accept</button>}
    </main>
  );
}

createRoot(document.querySelector('#root')!).render(<Room />);
