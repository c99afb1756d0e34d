/** Commands and options of the command line. Each action loads its own code, so that `--help` answers at once. */
import { Command, CommanderError } from 'commander';
import { DEFAULT_CRON } from '../client/cron.ts';
import { ShelfcastError } from '../client/shelfcast-error.ts';
import { ERROR_TYPES } from '../contracts/errors.ts';
import { DEFAULT_MODEL_NAME } from '../contracts/names.ts';
import { DEFAULT_UNIT } from '../contracts/number-format.ts';
import type { BacktestOptions } from './backtest.ts';
import { EXIT_CODES } from './exit-codes.ts';
import type { InspectOptions } from './inspect.ts';
import type { InputOptions } from './run-input.ts';
import type { Connect } from './with-shelfcast.ts';

const connectToTemporal: Connect = async () => (await import('../client/client.ts')).connect();

/** Runs one command and resolves to its exit code. */
export async function runCommandLine(args: string[], connect = connectToTemporal): Promise<number> {
  let exitCode: number = EXIT_CODES.done;
  const program = new Command('shelfcast')
    .description('Weekly demand forecasts: ingest, features, train, evaluate, rollout, monitor')
    .showHelpAfterError()
    .exitOverride();
  const cli: Cli = {
    connect,
    add: (name, parent = program) => parent.command(name),
    finish: (code) => (exitCode = code),
  };
  addServiceCommands(cli);
  addRunCommands(cli);
  addMessageCommands(cli);
  addBacktest(cli);
  addInspect(cli);
  addDoctor(cli);
  addScheduleCommands(cli);
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    return exitCodeOf(error);
  }
}

interface Cli {
  connect: Connect;
  add: (name: string, parent?: Command) => Command;
  /** Sets the exit code of a command that did its work. */
  finish: (exitCode: number) => void;
}

function exitCodeOf(error: unknown): number {
  // Commander has printed the reason; `--help` ends with code 0.
  if (error instanceof CommanderError)
    return error.exitCode === 0 ? EXIT_CODES.done : EXIT_CODES.invalidInput;
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  const isInput = error instanceof ShelfcastError && error.type === ERROR_TYPES.invalidInput;
  return isInput ? EXIT_CODES.invalidInput : EXIT_CODES.failed;
}

const repeated = (text: string, earlier: string[] | undefined): string[] => [...(earlier ?? []), text];
const withAllow = (command: Command): Command =>
  command.option(
    '--allow <rule>',
    'data-quality rule that this load may break (names: docs/data.md); repeatable',
    repeated,
  );
const withDeclaration = (command: Command): Command =>
  command
    .option('--declaration <json|file>', 'declaration of the columns of the sales, see docs/data.md')
    .option(
      '--column <role=column>',
      'your column for week, store, dept, sales, holiday, available, stock, type, size, opened, closed or like, like week=date or store=country,shop; repeatable',
      repeated,
    )
    .option('--ignore <column>', 'column that is not read; repeatable', repeated)
    .option(
      '--level <name=column>',
      'level of totals by a column of stores or items, like region=stores.region; repeatable',
      repeated,
    )
    .option(
      '--total <store|dept=id>',
      'store or department that is a total of others, like dept=All: it is not read; repeatable',
      repeated,
    )
    .option('--sum <days>', 'days: sum rows of days, or of sales at any time of day, to weeks')
    .option('--week-ends <weekday>', 'last weekday of the weeks (default: that of the data set, or Sunday)')
    .option('--time-zone <zone>', 'time zone of the stores, like Europe/Berlin')
    .option('--decimal <separator>', 'decimal separator of numbers, a point or a comma')
    .option('--date-format <format>', 'date format, like DD.MM.YYYY')
    .option('--sheet <name>', 'sheet of a workbook to read (default: the only one with data)')
    .option(
      '--unit <unit>',
      `unit of the sales: a currency like EUR, pieces, calls (default: ${DEFAULT_UNIT})`,
    )
    .option('--missing-weeks <unknown|zero>', 'zero: weeks of a series without a row are weeks without sales')
    .option('--holidays <country-region>', 'country whose public holidays count, like DE or DE-BY');
const withAcknowledge = (command: Command): Command =>
  command.option(
    '--acknowledge <key>',
    'load the rows that data-quality rules stopped; the message of that run names the key',
  );
const withInput = (command: Command): Command =>
  withDeclaration(withAllow(command))
    .option('--data <source>', 'sales: a folder, file or URL, see docs/data.md (default: generated sales)')
    .option('--dataset <name>', "name of the data set (default: the folder's name)")
    .option('--model <name>', `name of the model (default: ${DEFAULT_MODEL_NAME})`)
    .option('--approval', 'wait for `shelfcast approve` before the candidate gets traffic')
    .option('--input <json|file>', 'other input values, as JSON or a JSON file (docs/configuration.md)');
const withModel = (command: Command): Command =>
  command.option('--model <name>', 'name of the model', DEFAULT_MODEL_NAME);

function addServiceCommands({ add, connect, finish }: Cli): void {
  withAcknowledge(withInput(add('start')))
    .description('start all services, run the pipeline once, and leave the services running')
    .option('--services-only', 'start the services without a pipeline run')
    .action(async (options: InputOptions & { servicesOnly?: boolean }) => {
      finish(await (await import('./services.ts')).start(connect, options));
    });
  add('stop')
    .description('stop all services; no data is lost')
    .action(async () => (await import('./services.ts')).stop());
  withModel(add('status'))
    .description('show the services, their addresses, and the current run of the model')
    .option('--json', 'print the content of endpoints.json')
    .action(async (options: { model: string; json?: boolean }) =>
      (await import('./services.ts')).printStatus(connect, options),
    );
}

function addRunCommands({ add, connect, finish }: Cli): void {
  withAcknowledge(withInput(add('run')))
    .description('start a pipeline run and follow it')
    .option('--detach', 'print the id of the run and return without following it')
    .action(async (options: InputOptions & { detach?: boolean }) => {
      finish(await (await import('./runs.ts')).runPipeline(connect, options));
    });
  withAcknowledge(withDeclaration(withAllow(add('ingest'))))
    .description(
      'add new weeks to the data set of the model in use and renew its forecasts, without training',
    )
    .argument('<source>', 'sales: a .csv, .parquet or .xlsx file, a folder or a URL, see docs/data.md')
    .option('--dataset <name>', 'name of the data set (default: the data set of the model in use)')
    .option('--model <name>', `name of the model (default: ${DEFAULT_MODEL_NAME})`)
    .option('--train', 'run the whole pipeline on the data set with the new weeks')
    .action(async (data: string, options: InputOptions & { train?: boolean }) => {
      finish(await (await import('./runs.ts')).ingest(connect, { ...options, data }));
    });
  withModel(add('watch'))
    .description('follow the current run')
    .action(async ({ model }: { model: string }) => {
      finish(await (await import('./runs.ts')).watch(connect, model));
    });
}

function addMessageCommands({ add, connect }: Cli): void {
  withModel(add('approve'))
    .description('let the waiting candidate take traffic')
    .option('--by <name>', 'name of the person who approves, for the audit table')
    .action(async ({ model, by }: { model: string; by?: string }) =>
      (await import('./runs.ts')).approve(connect, model, by),
    );
  withModel(add('abort'))
    .description('stop the current run, clean up, and mark it as failed')
    .requiredOption('--reason <sentence>', 'reason, shown in the error of the run')
    .action(async ({ model, reason }: { model: string; reason: string }) =>
      (await import('./runs.ts')).abort(connect, model, reason),
    );
  withModel(add('cancel'))
    .description('stop the current run, clean up, and mark it as cancelled')
    .action(async ({ model }: { model: string }) => (await import('./runs.ts')).cancel(connect, model));
}

function addBacktest({ add, finish }: Cli): void {
  withDeclaration(add('backtest'))
    .description('measure accuracy on past weeks: forecast each from what was known then (needs no services)')
    .requiredOption(
      '--data <folder>',
      'sales in the Walmart or the long layout, or one file; see docs/data.md',
    )
    .requiredOption('--origins <weeks>', 'forecast origins (last known weeks), ISO dates separated by commas')
    .requiredOption('--out <folder>', 'folder for forecasts.csv, metrics.json and report.html')
    .option('--horizon <weeks>', 'number of weeks to forecast')
    .option('--preset <name>', 'preset of the model')
    .option('--refit <true|false>', 'false: train one model, at the first origin, for all origins')
    .option(
      '--baselines <names>',
      'all, or some of seasonal_methods,lightgbm; naive and seasonal naive are always computed',
    )
    .option('--processes <count>', 'number of training processes')
    .option('--max-epochs <count>', 'upper bound of training epochs')
    .option(
      '--validation-weeks <weeks>',
      'target weeks before an origin, for early stopping and interval calibration',
    )
    .option('--seed <number>', 'seed of the training')
    .action(async (options: BacktestOptions) => {
      finish(await (await import('./backtest.ts')).backtest(options));
    });
}

function addInspect({ add, finish }: Cli): void {
  withDeclaration(add('inspect'))
    .description('look at sales before they are loaded: guess the declaration, print what must change')
    .argument('[source]', 'sales: a folder, a file or a URL')
    .option('--query <select>', 'sales: the answer of one SELECT on a PostgreSQL')
    .option(
      '--address-variable <name>',
      "environment variable with a URL, or with the database's address for --query",
    )
    .option('--write <file>', 'file for the declaration, such as shelfcast.json in the folder')
    .action(async (data: string | undefined, options: InspectOptions) => {
      finish(await (await import('./inspect.ts')).inspect(data, options));
    });
}

function addDoctor({ add, finish }: Cli): void {
  add('doctor')
    .description(
      'check that a Kubernetes cluster has everything that workers need; print a fix for each problem',
    )
    .option(
      '--config <file>',
      "the worker's cluster configuration (default: the file in SHELFCAST_KUBERNETES)",
    )
    .action(async ({ config }: { config?: string }) => {
      finish(await (await import('./doctor.ts')).checkCluster(config));
    });
}

function addScheduleCommands({ add, connect }: Cli): void {
  const schedule = add('schedule').description('run the pipeline, or an update of the forecasts, every week');
  withInput(add('create', schedule))
    .description('create or change the schedule')
    .option('--cron <expression>', 'times of the runs, a cron expression in UTC', DEFAULT_CRON)
    .option(
      '--update',
      'renew the forecasts with the new weeks of --data and train nothing, as `ingest` does',
    )
    .action(async (options: InputOptions & { cron: string; update?: boolean }) =>
      (await import('./schedule.ts')).createSchedule(connect, options),
    );
  for (const [name, description] of [
    ['show', 'show the schedule with its recent and next runs'],
    ['trigger', "start the schedule's run now"],
    ['pause', 'start no more runs until `resume`'],
    ['resume', 'start runs again'],
    ['delete', 'delete the schedule'],
  ] as const) {
    withModel(add(name, schedule))
      .description(description)
      .action(async ({ model }: { model: string }) =>
        (await import('./schedule.ts')).changeSchedule(connect, name, model),
      );
  }
}
