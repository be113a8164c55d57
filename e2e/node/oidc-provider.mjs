// panva's oidc-provider as a server of its own: https on a free loopback port, in memory, settings from the environment.
// The protocol is the package's; the pages are its development pages, which take any login.
//
// OIDC_PROVIDER_SETTINGS is JSON: certFile and keyFile (PEM), clients (RFC 7591 metadata), scopes, accessTokenSeconds.
// The line "listening ISSUER" on standard output says that it serves.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';

import { Provider } from 'oidc-provider';

const settings = JSON.parse(process.env.OIDC_PROVIDER_SETTINGS);

function configuration() {
  return {
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'] },
    clients: settings.clients,
    conformIdTokenClaims: false, // the profile in the ID token, where Entra has it too
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `Name of ${id}`, preferred_username: `${id}@example.com` }),
    }),
    jwks: { keys: [signingKey()] },
    pkce: { required: () => true },
    rotateRefreshToken: true, // and a used one that comes again revokes the whole grant
    scopes: ['openid', 'offline_access', ...settings.scopes],
    ttl: { AccessToken: settings.accessTokenSeconds },
  };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', kid: 'signing', use: 'sig' };
}

const server = https.createServer({
  cert: readFileSync(settings.certFile),
  key: readFileSync(settings.keyFile),
});

server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  for (const event of ['authorization.error', 'grant.error', 'server_error', 'grant.revoked']) {
    provider.on(event, (_ctx, what) => console.log(event, what?.error_detail ?? what?.error_description ?? what));
  }
  server.on('request', provider.callback());
  console.log(`listening ${issuer}`);
});
