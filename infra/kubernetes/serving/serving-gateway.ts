/** Requests to the gateway as a client would send them, to see the weights that are really in force. */
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { VERSION_HEADER } from '../../../contracts/predict.ts';
import { WEIGHTS_HEADER } from './http-route.ts';

const ANSWER_TIMEOUT_MS = 3_000;
/** A gateway may be several processes that adopt a change one after the other, and each request may reach another one. */
const AGREEING_ANSWERS = 5;
const PAUSE_MS = 100;

export interface GatewayAnswer {
  status: number;
  /** Version that answered; null when the gateway itself did. */
  version: string | null;
  /** Weights by which the request was routed; null for a pinned one. */
  weights: string | null;
}

export class Gateway {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  /**
   * Asks for the model's status.
   * @throws Error with the network's error as cause when no answer came
   */
  async ask(modelName: string, pin?: number): Promise<GatewayAnswer> {
    const url = `${this.url}/v1/models/${modelName}`;
    try {
      const { statusCode, headers, body } = await request(url, {
        headers: pin === undefined ? {} : { [VERSION_HEADER]: String(pin) },
        // A new connection: kept ones would all lead to the same process.
        reset: true,
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      await body.dump();
      const header = (name: string): string | null => {
        const value = headers[name];
        return typeof value === 'string' ? value : null;
      };
      return { status: statusCode, version: header(VERSION_HEADER), weights: header(WEIGHTS_HEADER) };
    } catch (cause) {
      throw new Error(
        `the gateway did not answer GET ${url}: ${(cause as Error).message || String(cause)}; check serving.url`,
        { cause },
      );
    }
  }

  /** Reason why the version does not answer requests pinned to it, without a full stop; null when it does. */
  async whyUnreachable(modelName: string, version: number): Promise<string | null> {
    for (let i = 0; i < AGREEING_ANSWERS; i++) {
      let answer: GatewayAnswer;
      try {
        answer = await this.ask(modelName, version);
      } catch (error) {
        return (error as Error).message;
      }
      if (answer.version === null)
        return `its pods are ready, but the gateway answers ${answer.status} for them`;
      if (answer.version !== String(version))
        return `the gateway sends its requests to version ${answer.version}`;
      if (answer.status !== 200) return `it answers ${answer.status}, so it is not ready to forecast`;
    }
    return null;
  }

  /**
   * Waits until answers to unpinned requests are as expected, several in a row.
   * @returns null, or the last answer when the time is over
   * @throws Error when the gateway does not answer at all
   */
  async waitFor(
    modelName: string,
    isExpected: (answer: GatewayAnswer) => boolean,
    deadlineMs: number,
  ): Promise<GatewayAnswer | null> {
    for (let agreeing = 0; ;) {
      const answer = await this.ask(modelName);
      agreeing = isExpected(answer) ? agreeing + 1 : 0;
      if (agreeing === AGREEING_ANSWERS) return null;
      if (Date.now() > deadlineMs) return answer;
      if (agreeing === 0) await sleep(PAUSE_MS);
    }
  }
}
