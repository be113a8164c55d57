// @azure/identity's AuthorizationCodeCredential, which takes a code from a sign-in that is the application's own.
import { AuthorizationCodeCredential } from '@azure/identity';

import { serve } from './client.mjs';

serve(async ({ authority, clientId, secret, redirectUri, scopes }) => {
  const { origin, pathname } = new URL(authority);
  const tenantId = pathname.slice(1);
  const options = { authorityHost: origin, disableInstanceDiscovery: true };
  let credential;
  const getToken = async (claims) =>
    (await credential.getToken(scopes, { claims: claims || undefined, enableCae: true })).token;
  return {
    begin: () => {
      const url = new URL(`${authority}/oauth2/v2.0/authorize`);
      url.search = new URLSearchParams({
        client_id: clientId,
        redirect_uri: redirectUri,
        response_type: 'code',
        scope: [...scopes, 'openid', 'profile', 'offline_access'].join(' '),
      });
      return url;
    },
    redeem: (callback) => {
      const code = new URL(callback).searchParams.get('code');
      credential = new AuthorizationCodeCredential(tenantId, clientId, secret, code, redirectUri, options);
      return getToken();
    },
    silent: getToken,
  };
});
