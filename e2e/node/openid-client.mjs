// openid-client, a certified OpenID Relying Party, with PKCE, state and nonce. It verifies the ID token; it keeps no
// tokens, so that every call without the user is a refresh.
import * as oidc from 'openid-client';

import { serve } from './client.mjs';

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'; // RFC 7523 section 2.1

serve(async ({ assertion, authority, clientId, secret, redirectUri, scopes }) => {
  const config = await oidc.discovery(
    new URL(`${authority}/v2.0`),
    clientId,
    undefined,
    secret ? oidc.ClientSecretPost(secret) : oidc.None(),
  );
  oidc.enableNonRepudiationChecks(config); // the ID token's signature too, though TLS vouches for its origin
  const verifier = oidc.randomPKCECodeVerifier();
  const nonce = oidc.randomNonce();
  const state = oidc.randomState();
  let tokens;
  let device;
  return {
    begin: async () =>
      oidc.buildAuthorizationUrl(config, {
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        nonce,
        redirect_uri: redirectUri,
        scope: [...scopes, 'openid', 'profile', 'offline_access'].join(' '),
        state,
      }),
    redeem: async (callback) => {
      tokens = await oidc.authorizationCodeGrant(config, new URL(callback), {
        expectedNonce: nonce,
        expectedState: state,
        idTokenExpected: true,
        pkceCodeVerifier: verifier,
      });
      return tokens.access_token;
    },
    silent: async (claims) => {
      const parameters = { scope: scopes.join(' ') };
      if (claims) parameters.claims = claims;
      tokens = await oidc.refreshTokenGrant(config, tokens.refresh_token, parameters);
      return tokens.access_token;
    },
    appToken: async () => (await oidc.clientCredentialsGrant(config, { scope: scopes.join(' ') })).access_token,
    onBehalfOf: async () => {
      const parameters = { assertion, requested_token_use: 'on_behalf_of', scope: scopes.join(' ') };
      return (await oidc.genericGrantRequest(config, jwtBearer, parameters)).access_token;
    },
    deviceCode: async () => {
      device = await oidc.initiateDeviceAuthorization(config, { scope: scopes.join(' ') });
      return device.user_code;
    },
    deviceToken: async () => (await oidc.pollDeviceAuthorizationGrant(config, device)).access_token,
  };
});
