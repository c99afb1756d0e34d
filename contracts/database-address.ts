/** Rules for DATABASE_URL, which libpq, SQLAlchemy and Node.js must read alike; ml/shelfcast/database.py has them for the jobs. */

const TEXT = String.raw`(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})`;
const ADDRESS = new RegExp(
  `^postgres(?:ql)?://${TEXT}+(?::${TEXT}*)?@([^@/?#\\s]*)/${TEXT}+(?:\\?((?:${TEXT}|[/:@])*))?$`,
);
const TLS_MODES = ['disable', 'require', 'verify-ca', 'verify-full'];
/** Parameters that every program reads. */
const PARAMETERS = ['host', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'application_name'];

/** Setting without a meaning, by which a program sees that its session is its own. */
const SESSION_SETTING = 'shelfcast.session';
/** Rest of the sentence about the address of a pooler. */
export const POOLER_ISSUE =
  "leads to a pooler, like PgBouncer, that does not keep a session's settings, which features and migrations need; give the address of PostgreSQL itself";

/** Returns what is wrong with an address, as the rest of a sentence that begins with its name; it does not quote the address. */
export function addressIssue(address: string): string | undefined {
  const [, hosts, query] = ADDRESS.exec(address) ?? [];
  const options = new URLSearchParams(query);
  if (hosts === undefined || (hosts === '' && !options.has('host'))) {
    return 'must be an address like postgresql://user:password@host:5432/database, without blanks and line breaks, with %40 for @, %2F for /, %3A for :, %23 for #, %3F for ? and %25 for % in user and password';
  }
  if ([hosts, ...options.getAll('host')].some((host) => host.includes(','))) {
    return 'must name one host, which always leads to the primary, like the Service of an operator or a proxy';
  }
  if (!TLS_MODES.includes(options.get('sslmode') ?? 'disable')) {
    return `must have one of sslmode=${TLS_MODES.join(', ')}, or none`;
  }
  if (options.has('options'))
    return 'must have no options, since programs set their own; give yours to the role: alter role NAME set SETTING = VALUE';
  const names = [...options.keys()];
  if (names.some((name) => !PARAMETERS.includes(name)) || new Set(names).size < names.length)
    return `may have only the parameters ${PARAMETERS.join(', ')}, each once`;
  return options.get('sslrootcert') === 'system'
    ? 'must name a file as sslrootcert; programs that are not of libpq do not know sslrootcert=system'
    : undefined;
}

/** Returns the address for node-postgres, to which `require` is PostgreSQL's: encrypted, without a check of the certificate. */
export const nodeAddress = (address: string): string =>
  address.replace(/([?&]sslmode=require)(?=&|$)/, '$1&uselibpqcompat=true');

/** Returns the startup parameter `options` of node-postgres with settings of the session. */
export const sessionOptions = (settings: Readonly<Record<string, string>> = {}): string =>
  Object.entries({ ...settings, [SESSION_SETTING]: 'kept' })
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ');

type Ask = (query: string) => Promise<{ rows: { kept: string | null }[] }>;

/**
 * Whether the session in which `ask` runs a query was opened with `sessionOptions` and keeps them.
 *
 * @throws the error of the connection, unless a pooler refuses the settings
 */
export async function keepsSettings(ask: Ask): Promise<boolean> {
  try {
    const { rows } = await ask(`select current_setting('${SESSION_SETTING}', true) as kept`);
    return rows[0]?.kept === 'kept';
  } catch (error) {
    if ((error as Error).message.includes('unsupported startup parameter')) return false;
    throw error;
  }
}
