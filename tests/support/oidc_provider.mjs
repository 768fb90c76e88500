// An OpenID provider for tests, on a free port of loopback. Arguments: the folder of its packages.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.argv[2]}/`);
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const GROUPS = { ada: ['developers', 'staff'], eve: ['staff'] };

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const native = { application_type: 'native', redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1/connect/login'], require_auth_time: true };
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      { ...native, client_id: 'public', token_endpoint_auth_method: 'none' },
      { ...native, client_id: 'confidential', client_secret: 'se:cret/of the-gateway+1' },
    ],
    claims: { openid: ['sub', 'groups'], acr: null, auth_time: null, iss: null, sid: null },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: {
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'mcp',
          audience: resource,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
        }),
      },
    },
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    scopes: ['openid', 'offline_access', 'mcp'],
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: GROUPS[id] ?? [] }) }),
  });
  server.on('request', provider.callback());
  process.stdout.write(`listening ${port}\n`);
});
