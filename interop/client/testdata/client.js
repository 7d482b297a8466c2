// Connects twice, the second time with the session of the first, and prints for each connection one line of JSON:
// whether Node says that the session was reused, the whole response, and the session that the server gave. Between the two it prints a line and waits for one.
const { constants } = require('node:crypto');
const fs = require('node:fs');
const tls = require('node:tls');

const [host, port, servername, version, request, roots, chain, key, pause, tickets] = process.argv.slice(2);

function connect(session) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host, port, servername, session,
      secureOptions: tickets === 'true' ? 0 : constants.SSL_OP_NO_TICKET,
      minVersion: version, maxVersion: version,
      ALPNProtocols: ['http/1.1'],
      ca: fs.readFileSync(roots),
      cert: chain && fs.readFileSync(chain),
      key: key && fs.readFileSync(key),
    }, () => socket.write(request));
    const seen = { session: undefined, reused: false, response: '' };
    socket.on('secureConnect', () => { seen.reused = socket.isSessionReused(); });
    socket.on('session', (latest) => { seen.session = latest; });
    socket.on('data', (data) => { seen.response += data; });
    socket.on('error', reject);
    socket.on('close', () => resolve(seen));
  });
}

function print({ reused, response, session }) {
  console.log(JSON.stringify({ reused, response, session: session?.toString('base64') }));
}

(async () => {
  const first = await connect(undefined);
  print(first);
  process.stdout.write(pause);
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.destroy();
  print(await connect(first.session));
})();
