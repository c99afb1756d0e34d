/** Configuration of supervisord, as text. */
import { join } from 'node:path';
import { OWNER_VARIABLE } from './processes.ts';
import type { LocalState } from './state.ts';

/** Description of a process that supervisord keeps alive. */
export interface Program {
  /** Lower-case letters, digits, dashes; also the name of its log file. */
  name: string;
  /** Absolute path of the executable, then its arguments. The process must stay in the foreground. */
  command: readonly [string, ...string[]];
  directory: string;
  environment: Readonly<Record<string, string>>;
  /** System user that the program runs as; needs root. */
  user?: string;
  /** Signal to the process group; TERM when absent. */
  stopSignal?: 'TERM' | 'INT' | 'QUIT';
  /** Whether the stop signal goes to the whole process group (default), false for its first process only. */
  stopGroup?: boolean;
  /** Seconds from the stop signal to SIGKILL; default 10. */
  stopSeconds?: number;
  /** Programs of a higher number stop earlier and start later; default 500. */
  priority?: number;
}

/** Failed starts in a row before supervisord gives a program up; it waits n seconds after the n-th. */
const START_RETRIES = 8;

export function renderProgram(state: LocalState, program: Program): string {
  if (!/^[a-z][a-z0-9-]*$/.test(program.name)) {
    throw new Error(
      `program name ${JSON.stringify(program.name)} must be lower-case letters, digits and dashes`,
    );
  }
  const environment = { ...program.environment, [OWNER_VARIABLE]: state.runDir };
  const settings: Record<string, string> = {
    command: program.command.map(quoteArgument).join(' '),
    directory: escapeValue(program.directory),
    environment: Object.entries(environment)
      .map(([name, value]) => `${name}=${quoteVariable(name, value)}`)
      .join(','),
    ...(program.user === undefined ? {} : { user: program.user }),
    autostart: 'true',
    autorestart: 'true',
    startsecs: '1',
    startretries: String(START_RETRIES),
    stopsignal: program.stopSignal ?? 'TERM',
    stopasgroup: String(program.stopGroup ?? true),
    killasgroup: 'true',
    stopwaitsecs: String(program.stopSeconds ?? 10),
    priority: String(program.priority ?? 500),
    redirect_stderr: 'true',
    // supervisord expands this setting twice.
    stdout_logfile: escapeValue(escapeValue(join(state.logsDir, `${program.name}.log`))),
    stdout_logfile_maxbytes: '10MB',
    stdout_logfile_backups: '2',
  };
  return section(`program:${program.name}`, settings);
}

export function renderDaemon(state: LocalState, runsAsRoot: boolean): string {
  return [
    section('unix_http_server', { file: state.socketPath, chmod: '0700' }),
    section('supervisord', {
      logfile: escapeValue(join(state.logsDir, 'supervisord.log')),
      logfile_maxbytes: '10MB',
      logfile_backups: '1',
      pidfile: join(state.runDir, 'supervisord.pid'),
      childlogdir: escapeValue(state.logsDir),
      identifier: 'shelfcast',
      // supervisord warns root when no user is named.
      ...(runsAsRoot ? { user: 'root' } : {}),
    }),
    section('rpcinterface:supervisor', {
      'supervisor.rpcinterface_factory': 'supervisor.rpcinterface:make_main_rpcinterface',
    }),
    // For a person: `supervisorctl -c FILE status`.
    section('supervisorctl', { serverurl: `unix://${state.socketPath}` }),
    // Relative to this file, because an absolute path would be split at its spaces.
    section('include', { files: 'conf.d/*.conf' }),
  ].join('\n');
}

function section(name: string, settings: Record<string, string>): string {
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
  return `[${name}]\n${lines.join('\n')}\n`;
}

/** Escapes `%`, which starts an expansion. A line break ends the value, ` ;` and ` #` start a comment; none of these can be escaped. */
function escapeValue(value: string): string {
  if (/[\n\r]|\s[;#]/.test(value)) {
    throw new Error(
      `supervisord's configuration cannot hold ${JSON.stringify(value)}: remove " ;", " #" or line breaks`,
    );
  }
  return value.replaceAll('%', '%%');
}

/** Quotes a word of `command`, which supervisord splits as a POSIX shell does. */
function quoteArgument(argument: string): string {
  const escaped = escapeValue(argument);
  return /^[\w@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped.replace(/["\\]/g, '\\$&')}"`;
}

/** Quotes a value of `environment`, which has two kinds of quotes and no escape, and loses quotes at both ends. */
function quoteVariable(name: string, value: string): string {
  const quote = value.includes('"') ? "'" : '"';
  if (value.includes(quote) || /^["']|["']$/.test(value)) {
    throw new Error(
      `supervisord's configuration cannot hold ${name}: it has both kinds of quotes, or begins or ends with one`,
    );
  }
  return `${quote}${escapeValue(value)}${quote}`;
}
