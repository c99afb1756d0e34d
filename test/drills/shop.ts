/** Files of a shop, as somebody would bring them: its history, and the weeks that came after. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { execa } from 'execa';
import { PROJECT_DIR } from '../platform.ts';
import type { Lab } from './pipeline-lab.ts';
import { DEPARTMENTS, SMALL, STORES, WEEKS } from './pipelines.ts';

export const SERIES = STORES * DEPARTMENTS;
/** Weeks after the history. */
const NEW_WEEKS = 2;
const DAY_MS = 86_400_000;

export interface Sale {
  store: number;
  dept: number;
  week: string;
  sales: number;
}

export const weeksLater = (week: string, weeks: number): string =>
  new Date(Date.parse(week) + 7 * weeks * DAY_MS).toISOString().slice(0, 10);

export class Shop {
  /** Folder of the history: sales.csv and stores.csv. */
  readonly history: string;
  /** Last week of the history. */
  readonly lastWeek: string;
  readonly #folder: string;
  readonly #sales: Sale[];

  private constructor(folder: string, sales: Sale[]) {
    this.#folder = folder;
    this.#sales = sales;
    this.lastWeek = weeksLater(sales.at(-1)?.week ?? '', -NEW_WEEKS);
    this.history = join(folder, 'history');
    mkdirSync(this.history);
    this.write(
      'history/sales.csv',
      sales.filter(({ week }) => week <= this.lastWeek),
    );
    const stores = Array.from({ length: STORES }, (_, i) => `${i + 1},A,${100_000 + 1_000 * i}`);
    writeFileSync(join(this.history, 'stores.csv'), ['store,type,size', ...stores, ''].join('\n'));
  }

  /** Opens a shop with the generator's sales, a year earlier: weeks that are not over would be refused. */
  static async open(lab: Lab): Promise<Shop> {
    const folder = join(lab.platform.state.dir, 'shop');
    mkdirSync(folder);
    return new Shop(folder, await generatedSales(lab, folder));
  }

  /** Sales of the n-th week after the history; 0 is its last. */
  week(n: number): Sale[] {
    const week = weeksLater(this.lastWeek, n);
    return this.#sales.filter((row) => row.week === week);
  }

  /** Writes a file in the shop's folder and returns its path. */
  write(name: string, rows: Sale[]): string {
    const path = join(this.#folder, name);
    const lines = rows.map((row) => `${row.store},${row.dept},${row.week},${row.sales}`);
    writeFileSync(path, ['store,dept,week,sales', ...lines, ''].join('\n'));
    return path;
  }

  /** Writes a history in the layout of Walmart, with a text where the sales of one week in ten should be. */
  writeBad(): string {
    const folder = join(this.#folder, 'bad');
    mkdirSync(folder);
    const weeks = Array.from({ length: 20 }, (_, i) => weeksLater('2024-01-05', i));
    const sales = weeks.map((week, i) => `1,1,${week},${i % 10 === 0 ? 'many' : 100 + i},FALSE`);
    const features = weeks.map((week) => `1,${week},50,3,NA,NA,NA,NA,NA,200,7,FALSE`);
    const write = (name: string, header: string, lines: string[]) => {
      writeFileSync(join(folder, name), [header, ...lines, ''].join('\n'));
    };
    write('train.csv', 'Store,Dept,Date,Weekly_Sales,IsHoliday', sales);
    write(
      'features.csv',
      'Store,Date,Temperature,Fuel_Price,MarkDown1,MarkDown2,MarkDown3,MarkDown4,MarkDown5,CPI,Unemployment,IsHoliday',
      features,
    );
    write('stores.csv', 'Store,Type,Size', ['1,A,100000']);
    return folder;
  }
}

async function generatedSales(lab: Lab, folder: string): Promise<Sale[]> {
  const job = join(folder, 'generate');
  mkdirSync(job);
  const source = { ...SMALL.source, weeks: WEEKS + NEW_WEEKS };
  const spec = { dataset: 'generated', requestId: 'generate', source, maxBadRowShare: 0 };
  writeFileSync(join(job, 'spec.json'), JSON.stringify(spec));
  await execa(
    join(lab.platform.state.venvDir, 'bin', 'python'),
    ['-m', 'shelfcast.ingest', '--dir', pathToFileURL(job).href],
    {
      cwd: join(PROJECT_DIR, 'ml'),
      env: { DATABASE_URL: lab.platform.environment['DATABASE_URL'] ?? '' },
    },
  );
  return lab.query<Sale>(
    `select store, dept, (week - 364)::text as week, weekly_sales as sales from raw.sales
     where dataset = 'generated' order by week, store, dept`,
  );
}
