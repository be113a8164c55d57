// @azure/identity's credentials. AuthorizationCodeCredential takes a code from a sign-in that is the application's own.
import {
  AuthorizationCodeCredential,
  ClientSecretCredential,
  DeviceCodeCredential,
  OnBehalfOfCredential,
} from '@azure/identity';

import { serve } from './client.mjs';

serve(async ({ assertion, authority, clientId, secret, redirectUri, scopes }) => {
  const { origin, pathname } = new URL(authority);
  const tenantId = pathname.slice(1);
  const options = { authorityHost: origin, disableInstanceDiscovery: true };
  const app = secret && new ClientSecretCredential(tenantId, clientId, secret, options);
  const onBehalfOf =
    assertion && new OnBehalfOfCredential({ ...options, clientId, clientSecret: secret, tenantId, userAssertionToken: assertion });
  let user;
  let waiting; // for the user of a device
  const getToken = async (credential, claims) =>
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
      user = new AuthorizationCodeCredential(tenantId, clientId, secret, code, redirectUri, options);
      return getToken(user);
    },
    silent: (claims) => getToken(user, claims),
    appToken: () => getToken(app),
    onBehalfOf: () => getToken(onBehalfOf),
    deviceCode: () =>
      new Promise((show, fail) => {
        const userPromptCallback = ({ userCode }) => show(userCode);
        waiting = getToken(new DeviceCodeCredential({ ...options, clientId, tenantId, userPromptCallback }));
        waiting.catch(fail);
      }),
    deviceToken: () => waiting,
  };
});
