/** Entry point of the command line, `npx shelfcast`; `npm start` and `npm stop` are its `start` and `stop`. */
import { runCommandLine } from './program.ts';

process.exitCode = await runCommandLine(process.argv.slice(2));
