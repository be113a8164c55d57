// @azure/msal-node as an application uses it: confidential with a secret, public without; users with PKCE, state and nonce.
import { ConfidentialClientApplication, CryptoProvider, PublicClientApplication } from '@azure/msal-node';

import { serve } from './client.mjs';

serve(async ({ assertion, authority, clientId, secret, redirectUri, scopes }) => {
  const auth = {
    authority,
    clientCapabilities: ['cp1'],
    clientId,
    knownAuthorities: [new URL(authority).host],
  };
  const app = secret
    ? new ConfidentialClientApplication({ auth: { ...auth, clientSecret: secret } })
    : new PublicClientApplication({ auth });
  const crypto = new CryptoProvider();
  const { verifier, challenge } = await crypto.generatePkceCodes();
  const state = crypto.createNewGuid();
  const nonce = crypto.createNewGuid();
  let account;
  let waiting; // for the user of a device
  return {
    begin: () =>
      app.getAuthCodeUrl({ codeChallenge: challenge, codeChallengeMethod: 'S256', nonce, redirectUri, scopes, state }),
    redeem: async (callback) => {
      const answer = Object.fromEntries(new URL(callback).searchParams);
      const result = await app.acquireTokenByCode(
        { code: answer.code, codeVerifier: verifier, nonce, redirectUri, scopes, state },
        answer,
      );
      account = result.account;
      return result.accessToken;
    },
    silent: async (claims) => {
      const result = await app.acquireTokenSilent({ account, claims: claims || undefined, scopes });
      return result.accessToken;
    },
    appToken: async () => (await app.acquireTokenByClientCredential({ scopes })).accessToken,
    onBehalfOf: async () => (await app.acquireTokenOnBehalfOf({ oboAssertion: assertion, scopes })).accessToken,
    deviceCode: () =>
      new Promise((show, fail) => {
        const deviceCodeCallback = ({ userCode }) => show(userCode);
        waiting = app.acquireTokenByDeviceCode({ deviceCodeCallback, scopes });
        waiting.catch(fail);
      }),
    deviceToken: async () => (await waiting).accessToken,
  };
});
