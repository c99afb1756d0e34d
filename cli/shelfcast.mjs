#!/usr/bin/env node
// The command `shelfcast`.
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundlePath } from '../scripts/build.mjs';

process.setSourceMapsEnabled(true);
await import(pathToFileURL(await bundlePath(dirname(import.meta.dirname), 'cli/main.ts')).href);
