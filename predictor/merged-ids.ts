/** Stores and departments that became part of another one: a sentence for requests that ask for them. */
import type pg from 'pg';
import { shownId } from '../contracts/series-id.ts';

/** Numbers of what a request asks for. */
interface Asked {
  store?: number;
  dept?: number;
}

/**
 * Returns sentences, each after a space, on what asked-for ids were merged into; empty text where they were not.
 *
 * It explains a refusal, so that a database which cannot tell changes nothing: the role may lack the grant.
 */
export async function mergeSentences(
  pool: pg.Pool,
  dataset: string,
  { store, dept }: Asked,
): Promise<string> {
  const { rows } = await pool
    .query<{ of: string; former: string; id: string }>(
      `select newest."of", coalesce(former.id, newest.number::text) as former,
         coalesce(current.id, newest.into_number::text) as id
       from (
         select distinct on ("of", number) "of", number, into_number from raw.merge
         where dataset = $1 and number = case "of" when 'store' then $2::bigint else $3::bigint end
         order by "of", number, batch_id desc
       ) newest
       left join raw.current_id former
         on former.dataset = $1 and former."of" = newest."of" and former.number = newest.number
       left join raw.current_id current
         on current.dataset = $1 and current."of" = newest."of" and current.number = newest.into_number
       order by newest."of" desc`,
      [dataset, store ?? null, dept ?? null],
    )
    .catch(() => ({ rows: [] }));
  return rows
    .map(
      ({ of, former, id }) => ` The ${of} ${shownId(former)} was merged into ${shownId(id)}; ask for that.`,
    )
    .join('');
}
