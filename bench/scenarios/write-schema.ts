import { writeFileSync } from 'node:fs'
import { benchScenarioSchemaText, SCHEMA_FILE } from '../harness/scenario.ts'

// `node bench/scenarios/write-schema.ts && npm run format`: after a change of the schema.
writeFileSync(SCHEMA_FILE, benchScenarioSchemaText())
