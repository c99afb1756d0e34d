/** Messages about services that do not answer. */
import { expect, it } from 'vitest';
import { checkReachable } from '../../infra/local/readiness.ts';

const refused = () => Promise.reject(new Error('refused'));

it.each([
  ['http://ada:secret@127.0.0.1:1/base', 'http://127.0.0.1:1/base'],
  ['127.0.0.1:7233', '127.0.0.1:7233'],
  ['temporal:7233', 'temporal:7233'],
])('%s is shown without a login', async (address, shown) => {
  await expect(checkReachable('MLflow', { address, variable: 'X' }, refused)).rejects.toThrow(
    `MLflow does not answer at ${shown}: refused; start it or correct X`,
  );
});
