import type { Command } from 'commander'
import type { DoctorFlags } from './doctor/doctor.ts'

const EXAMPLES = `
Exit codes: 0 nothing that keeps Sluice from working, 1 a problem was found.

Examples:
  sluice doctor
  sluice doctor -c sluice.yaml --json`

/** `sluice doctor`. */
export function addDoctor(root: Command): void {
  root
    .command('doctor')
    .summary('look at everything a start would need')
    .description(
      'Looks at configuration, policies, ports, certificate, file modes, Redis, jq, the container engine and the servers, and says what to do.',
    )
    .option('-c, --config <file>', 'configuration file (default ./sluice.yaml, if there is one)')
    .option('--json', 'as JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: DoctorFlags) => {
      const { doctor } = await import('./doctor/doctor.ts')
      process.exitCode = await doctor(flags)
    })
}
