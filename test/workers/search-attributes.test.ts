/** Search attributes of a Temporal that somebody else set up. */
import { NativeConnection } from '@temporalio/worker';
import { afterEach, expect, it } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../contracts/names.ts';
import { ensureSearchAttributes, SearchAttributesError } from '../../workers/search-attributes.ts';
import { startTemporalServer } from '../workflows/temporal-server.ts';

const KEYWORD = 2;
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function connect(searchAttributes: Record<string, string>): Promise<NativeConnection> {
  const server = await startTemporalServer(searchAttributes);
  closing.push(server.stop);
  const connection = await NativeConnection.connect({ address: server.address });
  closing.push(() => connection.close());
  return connection;
}

it('adds those that the namespace lacks, and leaves others alone', async () => {
  const connection = await connect({ Mine: 'Int', [SEARCH_ATTRIBUTES.stage]: 'Keyword' });
  await Promise.all([1, 2].map(() => ensureSearchAttributes(connection, 'default')));
  await ensureSearchAttributes(connection, 'default');
  const { customAttributes } = await connection.operatorService.listSearchAttributes({
    namespace: 'default',
  });
  expect(customAttributes).toMatchObject(
    Object.fromEntries(Object.values(SEARCH_ATTRIBUTES).map((name) => [name, KEYWORD])),
  );
  expect(customAttributes).toHaveProperty('Mine');
});

it('names those of another type', async () => {
  const connection = await connect({ [SEARCH_ATTRIBUTES.model]: 'Int' });
  await expect(ensureSearchAttributes(connection, 'default')).rejects.toThrow(
    /^the search attributes ShelfcastModel of the namespace default must be of the type Keyword/,
  );
});

it('says what to run where the worker may not add them', async () => {
  const refused = Object.assign(new Error('7 PERMISSION_DENIED: Request unauthorized.'), { code: 7 });
  const cloud = {
    operatorService: {
      listSearchAttributes: () => Promise.resolve({ customAttributes: { ShelfcastModel: KEYWORD } }),
      addSearchAttributes: () => Promise.reject(refused),
    },
  } as unknown as NativeConnection;
  await expect(ensureSearchAttributes(cloud, 'shop.a1b2c')).rejects.toThrow(
    'may not add them (7 PERMISSION_DENIED: Request unauthorized.): add them with `temporal operator search-attribute create --namespace shop.a1b2c --name ShelfcastSnapshot --type Keyword --name ShelfcastStage --type Keyword --name ShelfcastVerdict --type Keyword`',
  );
});

it('goes on with a warning where the worker may not list them', async () => {
  const refused = Object.assign(new Error('7 PERMISSION_DENIED: Request unauthorized.'), { code: 7 });
  const closed = {
    operatorService: { listSearchAttributes: () => Promise.reject(refused) },
  } as unknown as NativeConnection;
  await expect(ensureSearchAttributes(closed, 'shop')).resolves.toMatch(
    /^this worker may not list the search attributes of the namespace shop \(7 PERMISSION_DENIED: .*\); if runs do not start, add them with `temporal .* --name ShelfcastModel --type Keyword/,
  );
});

it('names a namespace that does not exist', async () => {
  const connection = await connect({});
  const asking = ensureSearchAttributes(connection, 'nowhere');
  await expect(asking).rejects.toThrow(SearchAttributesError);
  await expect(asking).rejects.toThrow(/^there is no namespace nowhere: create it with/);
});
