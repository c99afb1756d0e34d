/** The command `backtest`, which runs a Python program and needs no services. */
import { userPath } from '../config/environment.ts';
import type { DeclarationOptions } from './declaration.ts';
import { splitDeclaration } from './declaration.ts';
import { flagOf } from './input-error.ts';
import { runPython } from './python.ts';

export interface BacktestOptions extends DeclarationOptions {
  data: string;
  origins: string;
  out: string;
  horizon?: string;
  preset?: string;
  refit?: string;
  baselines?: string;
  processes?: string;
  maxEpochs?: string;
  validationWeeks?: string;
  seed?: string;
}

/** Resolves to the exit code of the Python program. */
export async function backtest(options: BacktestOptions): Promise<number> {
  const { declaration, others } = splitDeclaration(options);
  const all = {
    ...others,
    data: userPath(others.data),
    out: userPath(others.out),
    ...(declaration === undefined ? {} : { declaration: JSON.stringify(declaration) }),
  };
  const args = Object.entries(all).flatMap(([name, value]) => [flagOf(name), value]);
  return runPython('shelfcast.backtest', args);
}
