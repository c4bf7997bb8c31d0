import { defineInterceptor, type Environment, type Hooks, type Interceptor, z } from '#api'
import { parseYaml } from '../../../proxy/base/read-yaml.ts'
import { type CompiledPolicy, compilePolicies, type PolicyInput } from '../../../proxy/policy/compile.ts'
import { Registry } from '../../../proxy/policy/registry.ts'
import { services } from '../../policies/case.ts'

/** An interceptor with these hooks, each with a look of its own. */
export function interceptor(name: string, create: (environment: Environment, options: unknown) => Hooks): Interceptor {
  return defineInterceptor({
    name,
    summary: 'For a test.',
    options: z.object({ value: z.string().optional(), count: z.number().optional() }),
    looks: { request: { need: 'envelope' }, response: { need: 'bytes' }, notification: { need: 'json' } },
    onFailure: 'open',
    create: (options, environment) => create(environment, options),
  })
}

export function inputOf(
  yaml: string,
  interceptors: readonly Interceptor[],
  more: Partial<PolicyInput> = {},
): PolicyInput {
  return {
    files: [],
    inline: [parseYaml(yaml, 'test.yaml', {})],
    servers: ['a', 'b'],
    registry: Registry.of(interceptors),
    services,
    env: {},
    strict: false,
    generation: 1,
    ...more,
  }
}

/** Compiles a policy given as text. */
export function compile(
  yaml: string,
  interceptors: readonly Interceptor[],
  more: Partial<PolicyInput> = {},
): Promise<CompiledPolicy> {
  return compilePolicies(inputOf(yaml, interceptors, more))
}
