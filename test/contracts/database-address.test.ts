import { readFileSync } from 'node:fs';
import pg from 'pg';
import { describe, expect, test } from 'vitest';
import { addressIssue, nodeAddress } from '../../contracts/database-address.ts';

const addresses = JSON.parse(readFileSync(new URL('database-addresses.json', import.meta.url), 'utf8')) as {
  good: string[];
  bad: { address: string; issue: string }[];
};

describe('DATABASE_URL', () => {
  test.each(addresses.good)('%s can be used', (address) => {
    expect(addressIssue(address)).toBeUndefined();
  });

  test.each(addresses.bad)('$address is refused, without its text', ({ address, issue }) => {
    expect(addressIssue(address)).toMatch(new RegExp(`^${issue}`));
    expect(addressIssue(address)).not.toContain('word@host/');
  });

  test('has every character in a password', () => {
    const password = `p@ss:w/o#r?d%+&=;,'!$()*~ [ä]`;
    const address = `postgresql://user:${encodeURIComponent(password)}@host/database`;
    expect(addressIssue(address)).toBeUndefined();
    expect(new pg.Client({ connectionString: nodeAddress(address) })).toMatchObject({
      password,
      host: 'host',
    });
  });

  test.each([
    ['require', { rejectUnauthorized: false }],
    ['verify-full', {}],
  ])('with sslmode=%s is encrypted as libpq does it', (mode, ssl) => {
    const address = `postgresql://user@host/database?sslmode=${mode}&application_name=a`;
    const client = new pg.Client({ connectionString: nodeAddress(address) }) as unknown as { ssl: unknown };
    expect(client.ssl).toEqual(ssl);
  });
});
