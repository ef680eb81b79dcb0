// Runs `bruce send` alone: the one argument is its options as JSON.
import { type SendCommandOptions, sendCommand } from "../../src/commands/send.ts";

process.exit(await sendCommand(JSON.parse(process.argv[2] ?? "{}") as SendCommandOptions));
