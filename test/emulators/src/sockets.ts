import type { Server, Socket } from 'node:net'

/** Follows a server's connections; the returned function destroys those open. */
export function trackSockets(server: Pick<Server, 'on'>): () => void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return () => {
    for (const socket of sockets) socket.destroy()
  }
}
