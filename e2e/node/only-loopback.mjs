// Preloaded into every client (node --import): a connection to another machine is refused, and remembered in elsewhere.
import net from 'node:net';

export const elsewhere = [];

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  const [options] = Array.isArray(given[0]) ? given[0] : given;
  const host = typeof options === 'object' ? options.host : given[1];
  if (host !== undefined && !['localhost', '127.0.0.1', '::1'].includes(host)) {
    elsewhere.push(host);
    setImmediate(() => this.destroy(new Error(`${host} is another machine`))); // once somebody listens for it
    return this;
  }
  return connect.apply(this, given);
};
