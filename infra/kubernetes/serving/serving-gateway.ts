/** Requests to the gateway as a client would send them, which show the weights that are in force. */
import { setTimeout as sleep } from 'node:timers/promises';
import { VERSION_HEADER } from '../../../contracts/predict.ts';
import { HttpService } from '../../http.ts';
import { WEIGHTS_HEADER } from './http-route.ts';

const ANSWER_TIMEOUT_MS = 3_000;
/** Number of equal answers in a row that count as the gateway's state: its processes adopt a change one after the other. */
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
  readonly #service: HttpService;

  constructor(url: string) {
    this.url = url;
    this.#service = new HttpService({ name: 'the gateway', url, advice: 'check serving.url' });
  }

  /**
   * Asks for the model's status.
   * @throws Error with the network's error as cause when no answer came
   */
  async ask(modelName: string, pin?: number): Promise<GatewayAnswer> {
    const answer = await this.#service.send('GET', `/v1/models/${modelName}`, {
      headers: pin === undefined ? {} : { [VERSION_HEADER]: String(pin) },
      // Kept connections would all lead to the same process.
      closesConnection: true,
      timeoutMs: ANSWER_TIMEOUT_MS,
    });
    return {
      status: answer.status,
      version: answer.header(VERSION_HEADER),
      weights: answer.header(WEIGHTS_HEADER),
    };
  }

  /** Returns why the version does not answer requests pinned to it, without a full stop; null when it does. */
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
