// A relay of socket.io 4 and its Redis adapter, as its manual describes it: a room a user, two servers.
//
// It has no tokens, negotiations or answers and stores nothing. It needs a Redis server, and is not part of Tieline. The
// other end is bench/socketio_connection.py. It prints its port, and ends when standard input does.
//
//   node relay.js PATH-OF-REDIS-SOCKET

import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const WELCOME = { requestId: "", module: "ROOM", cmd: "WELCOME", code: 200, msg: "success", data: null };

const publisher = createClient({ socket: { path: process.argv[2] } });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const relay = new Server(http, { transports: ["websocket"], adapter: createAdapter(publisher, subscriber) });

relay.on("connection", (socket) => {
  socket.join(socket.handshake.query.user);
  socket.emit("m", WELCOME);
  socket.on("m", (message) => relay.to(message.data.to).emit("m", message));
});

http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.resume().on("end", () => process.exit());
