// A React hook: be in a room while a component is there, know who else is, and be in one call at a time.
//
//   const { members, call, ring, error } = useTieline('wss://voice.example.org/ws', token, 'room_1');
//
// `token` is a function that gets a JWT; one that is made anew with each rendering is fine.

import { useEffect, useReducer, useRef, useState } from 'react';
import { connect, type Call, type Client, type Member } from 'tieline';

export function useTieline(url: string, token: () => Promise<string>, room: string) {
  const [client, setClient] = useState<Client | null>(null);
  const [members, setMembers] = useState<Member[]>([]);
  const [call, setCall] = useState<Call | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const [, render] = useReducer((count: number) => count + 1, 0);
  const newestToken = useRef(token);
  useEffect(() => { newestToken.current = token; });

  const follow = (one: Call) => {
    setCall(one);
    for (const type of ['state', 'quality', 'speaking', 'showing', 'track', 'untrack'] as const) {
      one.addEventListener(type, render);
    }
  };

  useEffect(() => {
    let isOver = false;
    const connecting = connect(url, { token: () => newestToken.current() });
    connecting.then(async (one) => {
      one.addEventListener('roster', ({ detail }) => { if (detail.room === room) setMembers(detail.members); });
      one.addEventListener('call', ({ detail }) => follow(detail));
      one.addEventListener('state', render);
      one.addEventListener('closed', ({ detail }) => { if (!isOver) setError(detail); });
      await one.join(room);
      if (!isOver) setClient(one);
    }).catch((problem: Error) => { if (!isOver) setError(problem); });
    return () => {
      isOver = true;
      setClient(null);
      connecting.then((one) => one.close(), () => {});
    };
  }, [url, room]);

  const ring = (peer: string) => { if (client) follow(client.call(peer)); };
  return { client, state: client?.state ?? 'connecting', members, call, error, ring };
}
