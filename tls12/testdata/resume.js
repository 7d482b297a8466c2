// Connects to localhost:PORT six times, without tickets, and says which
// connections resumed.
const tls = require('tls'), { constants } = require('crypto')

function connect(left, session) {
  if (left === 0) return
  const socket = tls.connect({
    host: '127.0.0.1', port: process.argv[2], servername: 'localhost', rejectUnauthorized: false,
    maxVersion: 'TLSv1.2', secureOptions: constants.SSL_OP_NO_TICKET, session,
  }, () => {
    console.log(socket.isSessionReused() ? 'resumed' : 'full')
    const next = socket.getSession()
    socket.end('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    socket.resume().on('close', () => connect(left - 1, next))
  })
}

connect(6)
