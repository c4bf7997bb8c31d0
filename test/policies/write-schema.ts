import { writeFileSync } from 'node:fs'
import { policySchemaText, SCHEMA_FILE } from './policy-schema.ts'

// `node test/policies/write-schema.ts && npm run format`: after a change of the schema or of an interceptor's options.
writeFileSync(SCHEMA_FILE, await policySchemaText())
