/** Predictor process, which serves one version of one model. docs/predictor.md lists its environment variables. */
import { setTimeout as sleep } from 'node:timers/promises';
import { addressIssue, keepsSettings, POOLER_ISSUE } from '../contracts/database-address.ts';
import { openPool } from './feast-tables.ts';
import { createPredictorMetrics } from './metrics.ts';
import { loadModel } from './model.ts';
import { createOnlineFeatures } from './online-features.ts';
import { createReadiness } from './readiness.ts';
import { createSeriesNumberReader } from './series-numbers.ts';
import { createPredictor } from './server.ts';
import { createTotalReader } from './totals.ts';
import { optionalInteger, optionalText, requiredText } from './environment.ts';

async function start(): Promise<void> {
  const name = requiredText('MODEL_NAME', 'the name that requests use, for example sales-forecast');
  const version = requiredText('MODEL_VERSION', 'the number of the model version');
  const modelUri = requiredText('MODEL_URI', 'a file:// folder with model.onnx and model.json');
  const databaseUrl = requiredText('DATABASE_URL', 'the PostgreSQL database with the online features');
  const issue = addressIssue(databaseUrl);
  if (issue !== undefined) throw new Error(`DATABASE_URL ${issue}`);
  const drainMs = optionalInteger('DRAIN_MS', 500);
  const sha256 = optionalText('MODEL_SHA256', '');
  const model = await loadModel(modelUri, {
    threads: optionalInteger('MODEL_THREADS', 1),
    sha256: sha256 === '' ? undefined : sha256,
  });
  const pool = openPool(databaseUrl);
  // If the database is away, readiness says so.
  if (!(await keepsSettings((text) => pool.query(text)).catch(() => true))) {
    throw new Error(`DATABASE_URL ${POOLER_ISSUE}`);
  }
  const readiness = createReadiness(pool);
  const seriesNumbers = createSeriesNumberReader(pool, model.manifest.dataset);
  // If the database is away, the first request that needs the ids tries again.
  await seriesNumbers.load().catch(() => undefined);
  const app = createPredictor({
    name,
    version,
    model,
    seriesNumbers,
    features: createOnlineFeatures(pool, model.manifest),
    totals: createTotalReader(pool, model.manifest, seriesNumbers),
    readiness,
    metrics: createPredictorMetrics(name, version),
    logLevel: optionalText('LOG_LEVEL', 'warn'),
  });
  const address = await app.listen({
    host: optionalText('HOST', '127.0.0.1'),
    port: optionalInteger('PORT', 8080),
  });
  process.stdout.write(`${name} version ${version} answers at ${address}\n`);

  let ending = false;
  const end = async (): Promise<void> => {
    if (ending) return;
    ending = true;
    readiness.drain();
    // Load balancers need time to see that the predictor is not ready, before the port closes.
    await sleep(drainMs);
    await app.close();
    await pool.end();
    await model.close();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end());
}

try {
  await start();
} catch (error) {
  process.stderr.write(`The predictor cannot start: ${(error as Error).message}\n`);
  process.exit(1);
}
