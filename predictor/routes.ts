/** The router's versions, addresses and weights by model, and the file that holds them. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { routesSchema } from '../contracts/routes.ts';
import type { Route, Routes } from '../contracts/routes.ts';

/**
 * Smooth weighted round robin, as in nginx: of 100 picks each version gets exactly its percentage, spread evenly.
 */
class Rotation {
  readonly #turns: { route: Route; credit: number }[];

  constructor(routes: readonly Route[]) {
    this.#turns = routes
      .filter(({ weightPercent }) => weightPercent > 0)
      .map((route) => ({ route, credit: 0 }));
  }

  next(): Route | undefined {
    let best: { route: Route; credit: number } | undefined;
    for (const turn of this.#turns) {
      turn.credit += turn.route.weightPercent;
      if (best === undefined || turn.credit > best.credit) best = turn;
    }
    if (best !== undefined) best.credit -= 100;
    return best?.route;
  }
}

function readState(path: string): Routes {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { models: {} };
    throw error;
  }
  try {
    return routesSchema.parse(JSON.parse(text));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    throw new Error(
      `The routes in ${path} cannot be read: ${reason}. Repair the file, or remove it and set the traffic again.`,
      { cause },
    );
  }
}

/** Replaces the file. It is flushed with its folder, so that new weights survive a loss of power right after the answer. */
function writeState(path: string, routes: Routes): void {
  const temporary = `${path}.${process.pid}`;
  const file = openSync(temporary, 'w', 0o600);
  try {
    writeSync(file, `${JSON.stringify(routes, null, 2)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

export class RouteTable {
  readonly #path: string;
  #routes: Routes;
  readonly #rotations = new Map<string, Rotation>();

  /** @throws Error when the file exists but does not hold routes. */
  constructor(path: string) {
    this.#path = path;
    this.#routes = readState(path);
    for (const [model, routes] of Object.entries(this.#routes.models))
      this.#rotations.set(model, new Rotation(routes));
  }

  all(): Routes {
    return this.#routes;
  }

  routesOf(model: string): readonly Route[] | undefined {
    return Object.hasOwn(this.#routes.models, model) ? this.#routes.models[model] : undefined;
  }

  /** Replaces the routes of the given models, on disk first; an empty list removes a model. */
  replace(change: Routes): void {
    const models = { ...this.#routes.models, ...change.models };
    const kept = Object.fromEntries(Object.entries(models).filter(([, routes]) => routes.length > 0));
    writeState(this.#path, { models: kept });
    this.#routes = { models: kept };
    for (const [model, routes] of Object.entries(change.models))
      this.#rotations.set(model, new Rotation(routes));
  }

  /** Returns the version of the next turn; undefined when no version of the model has weight. */
  next(model: string): Route | undefined {
    return this.#rotations.get(model)?.next();
  }

  /** Returns the version with the most weight other than `except`; undefined when none has weight. */
  heaviest(model: string, except?: number): Route | undefined {
    return this.routesOf(model)
      ?.filter(({ version, weightPercent }) => version !== except && weightPercent > 0)
      .sort((a, b) => b.weightPercent - a.weightPercent)[0];
  }
}
