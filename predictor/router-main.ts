/** Router process. docs/predictor.md lists its environment variables. */
import { optionalInteger, optionalText, requiredText } from './environment.ts';
import { createRouter } from './router.ts';
import { RouteTable } from './routes.ts';

async function start(): Promise<void> {
  const app = createRouter({
    table: new RouteTable(requiredText('ROUTER_STATE', 'the file that keeps the weights')),
    adminToken: requiredText('ROUTER_ADMIN_TOKEN', 'the secret of those who may set weights'),
    logLevel: optionalText('LOG_LEVEL', 'warn'),
  });
  const address = await app.listen({
    host: optionalText('HOST', '127.0.0.1'),
    port: optionalInteger('ROUTER_PORT', 8090),
  });
  process.stdout.write(`The router answers at ${address}\n`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void app.close());
}

try {
  await start();
} catch (error) {
  process.stderr.write(`The router cannot start: ${(error as Error).message}\n`);
  process.exit(1);
}
