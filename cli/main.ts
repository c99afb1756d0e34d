/**
 * The command line, `npx shelfcast`; `npm start` and `npm stop` are its `start` and `stop`.
 * Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 the candidate was not promoted.
 */
import { Command } from 'commander';
import { DEFAULT_MODEL_NAME } from '../contracts/names.ts';
import { readKubernetesConfig } from '../infra/kubernetes/config.ts';
import { loadKubeConfig } from '../infra/kubernetes/connection.ts';
import { examine, exitCodeOf, lineOf } from '../infra/kubernetes/doctor/doctor.ts';
import { down, refreshEndpoints, up } from '../infra/local/services.ts';
import type { AnyHandle, Shelfcast } from '../client/client.ts';
import { connect, PipelineError } from '../client/client.ts';
import { clusterFile, readLocalConfig } from '../config/environment.ts';
import { print, tell } from './output.ts';
import type { BacktestOptions } from './backtest.ts';
import { backtest } from './backtest.ts';
import type { InputOptions } from './run-input.ts';
import { inputOf, updateInputOf } from './run-input.ts';
import { championDataset, followAndReport, printRun, runOnce } from './run-once.ts';
import { DEFAULT_CRON } from '../client/schedules.ts';

const program = new Command('shelfcast')
  .description('Weekly demand forecasts: ingest, features, train, evaluate, rollout, monitor')
  .showHelpAfterError();

const withAllow = (command: Command): Command =>
  command.option(
    '--allow <rule>',
    'rule of the quality gate that this load may break on purpose, by its name in docs/data.md; may be repeated',
    (rule: string, earlier: string[] | undefined) => [...(earlier ?? []), rule],
  );
const withInput = (command: Command): Command =>
  withAllow(command)
    .option('--data <source>', 'sales: a folder, file or URL, see docs/data.md (default: generated)')
    .option('--dataset <name>', "name of the data set (default: the folder's name)")
    .option('--model <name>', `name of the model (default: ${DEFAULT_MODEL_NAME})`)
    .option('--approval', 'wait for `shelfcast approve` before the candidate gets traffic')
    .option('--input <json|file>', 'any other part of the input, as JSON');
const withModel = (command: Command): Command =>
  command.option('--model <name>', 'name of the model', DEFAULT_MODEL_NAME);

withInput(program.command('start'))
  .description('start all services, run the pipeline once, leave the services up')
  .option('--services-only', 'run no pipeline')
  .action(async ({ servicesOnly, ...options }: InputOptions & { servicesOnly?: boolean }) => {
    const input = inputOf(options);
    await up(readLocalConfig(), tell);
    const isAsked = Object.keys(options).length > 0;
    if (servicesOnly !== true) await withClient((shelfcast) => runOnce(shelfcast, input, isAsked));
  });

program
  .command('stop')
  .description('end all services; nothing is lost')
  .action(async () => {
    await down(readLocalConfig());
    print('all services have ended');
  });

withInput(program.command('run'))
  .description('run the pipeline and follow it')
  .option('--detach', 'print the id of the run and return')
  .action(async (options: InputOptions & { detach?: boolean }) => {
    const input = inputOf(options);
    await withClient(async (shelfcast) => {
      const run = await shelfcast.startPipeline(input);
      if (options.detach === true) print(run.workflowId);
      else await followAndReport(run);
    });
  });

withAllow(program.command('ingest'))
  .description('add new weeks to the data set of the model in use and renew its forecasts, without training')
  .argument('<source>', 'sales: a .csv or .parquet file, a folder or a URL, see docs/data.md')
  .option('--dataset <name>', 'name of the data set (default: that of the model in use)')
  .option('--model <name>', `name of the model (default: ${DEFAULT_MODEL_NAME})`)
  .option('--train', 'run the whole pipeline on the data set with the new weeks')
  .action(async (data: string, { train, ...options }: InputOptions & { train?: boolean }) => {
    const update = updateInputOf({ ...options, data });
    await withClient(async (shelfcast) => {
      if (train !== true) return followAndReport(await shelfcast.startUpdate(update));
      const dataset = update.dataset ?? (await championDataset(update.modelName ?? DEFAULT_MODEL_NAME));
      await followAndReport(await shelfcast.startPipeline(inputOf({ ...options, data, dataset })));
    });
  });

program
  .command('backtest')
  .description(
    'forecast a folder of sales as of past weeks, each with what was known then; needs no services',
  )
  .requiredOption('--data <folder>', 'sales in the Walmart or the long layout, see docs/data.md')
  .requiredOption('--origins <weeks>', 'last known weeks, ISO dates separated by commas')
  .requiredOption('--out <folder>', 'for forecasts.csv, metrics.json and report.html')
  .option('--horizon <weeks>', 'weeks ahead, 1 to 39', '8')
  .option('--preset <name>', 'of the network', 'global')
  .option('--refit <true|false>', 'false: one model, trained at the first origin, for all', 'true')
  .option(
    '--baselines <names>',
    'all, or some of seasonal_average,lightgbm; last week and year always',
    'all',
  )
  .option('--processes <count>', 'that train (default: 2, or as many as there are cores)')
  .option('--max-epochs <count>', 'of the training')
  .option('--seed <number>', 'of the training')
  .action(async (options: BacktestOptions) => {
    process.exitCode = await backtest(options);
  });

program
  .command('status')
  .description('services and their addresses')
  .option('--json', 'as JSON, the content of endpoints.json')
  .action(async ({ json }: { json?: boolean }) => {
    const endpoints = await refreshEndpoints(readLocalConfig());
    if (endpoints === null)
      throw new PipelineError('NotFound', 'nothing was started here yet: type `npm start`');
    if (json === true) {
      print(JSON.stringify(endpoints, null, 2));
      return;
    }
    const { pids, ...addresses } = endpoints;
    const services = Object.entries(pids).map(([name, pid]) => `${name} (process ${pid})`);
    print(
      Object.entries(addresses)
        .map(([name, address]) => `${name.padEnd(12)}${address}`)
        .join('\n'),
    );
    print(
      services.length === 0 ? 'no service is running: type `npm start`' : `running: ${services.join(', ')}`,
    );
    if (services.length > 0) await withClient(printRun);
  });

program
  .command('doctor')
  .description(
    'look whether a Kubernetes cluster has what workers need, and say what to do where it does not',
  )
  .option(
    '--config <file>',
    "the worker's description of the cluster (default: that of SHELFCAST_KUBERNETES)",
  )
  .action(async ({ config }: { config?: string }) => {
    const described = readKubernetesConfig(clusterFile(config));
    const findings = await examine(loadKubeConfig(), described, {
      onFinding: (finding) => {
        print(lineOf(finding));
      },
    });
    process.exitCode = exitCodeOf(findings);
  });

withModel(program.command('watch'))
  .description('follow the run that is going on')
  .action(({ model }: { model: string }) => onRunning(model, followAndReport));
withModel(program.command('approve'))
  .description('let the candidate that waits have traffic')
  .option('--by <name>', 'who approves; kept in the audit')
  .action(({ model, by }: { model: string; by?: string }) =>
    onRunning(model, async (run) => {
      print(await run.approve(by));
    }),
  );
withModel(program.command('abort'))
  .description('end the run as failed, after cleaning up')
  .requiredOption('--reason <sentence>', 'why')
  .action(({ model, reason }: { model: string; reason: string }) =>
    onRunning(model, async (run) => {
      print(await run.abort(reason));
    }),
  );
withModel(program.command('cancel'))
  .description('cancel the run, after cleaning up')
  .action(({ model }: { model: string }) =>
    onRunning(model, async (run) => {
      await run.cancel();
      print(`cancelling ${run.workflowId}`);
    }),
  );

const schedule = program
  .command('schedule')
  .description('run the pipeline, or an update of the forecasts, every week');
withInput(schedule.command('create'))
  .description('make or change the schedule')
  .option('--cron <expression>', 'when, in UTC', DEFAULT_CRON)
  .option(
    '--update',
    'renew the forecasts with the new weeks of --data, as `ingest` does, instead of training',
  )
  .action(({ cron, update, ...options }: InputOptions & { cron: string; update?: boolean }) => {
    if (update === true) {
      const input = updateInputOf(options);
      return withClient(async ({ schedules }) => {
        printJson(await schedules.createUpdate(input, cron));
      });
    }
    const input = inputOf(options);
    return withClient(async ({ schedules }) => {
      printJson(await schedules.create(input, cron));
    });
  });
for (const [name, description] of [
  ['show', 'what it runs, and when it ran and will run'],
  ['trigger', 'run it now'],
  ['pause', 'run it no more until `resume`'],
  ['resume', 'run it again'],
  ['delete', 'remove it'],
] as const) {
  withModel(schedule.command(name))
    .description(description)
    .action(({ model }: { model: string }) =>
      withClient(async ({ schedules }) => {
        const state = await schedules[name](model);
        if (state === undefined) print(`schedule of ${model}: ${name} done`);
        else printJson(state);
      }),
    );
}

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof PipelineError && error.type === 'InvalidInput' ? 2 : 1;
}

function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

async function withClient(work: (shelfcast: Shelfcast) => Promise<void>): Promise<void> {
  const shelfcast = await connect();
  try {
    await work(shelfcast);
  } finally {
    await shelfcast.close();
  }
}

function onRunning(model: string, work: (run: AnyHandle) => Promise<void>): Promise<void> {
  return withClient(async (shelfcast) => {
    const run = await shelfcast.runningPipeline(model);
    if (run === null) throw new PipelineError('NotFound', `no run of ${model} is going on`);
    await work(run);
  });
}
