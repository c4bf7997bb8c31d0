import { chmodSync } from 'node:fs'
import { dirname } from 'node:path'
import { DockerEngine } from '../../proxy/fleet/docker/engine.ts'
import { enginePlace } from '../../proxy/fleet/docker/engine-place.ts'
import { testImage } from '../../test/helpers/docker.ts'
import { COUNTING, type Leg } from './faults.ts'

/** The leg of containers; or why there is none. */
export async function containers(): Promise<Leg | string> {
  const engine = new DockerEngine(enginePlace('', process.env))
  try {
    await engine.version()
  } catch (error) {
    return (error as Error).message
  }
  const image = await testImage(engine)
  return {
    name: 'containers',
    fleet: dir => ({ allowed_host_paths: [dir, dirname(COUNTING)] }),
    server: dir => {
      // The user of the container is nobody.
      chmodSync(dir, 0o777)
      for (const name of ['started', 'written']) chmodSync(`${dir}/${name}`, 0o666)
      return {
        image,
        transport: 'http',
        port: 3000,
        args: ['/server/counting.ts'],
        env: { COUNT_DIR: '/count', HOST: '0.0.0.0' },
        volumes: [`${dir}:/count:rw`, `${dirname(COUNTING)}:/server:ro`],
        memory: '128MiB',
      }
    },
    alive: async ({ instance }) => {
      const filters = { label: [`sluice.instance=${instance}`], status: ['running'] }
      const found = await engine.docker.listContainers({ filters })
      return found.toSorted((a, b) => a.Created - b.Created).map(({ Id }) => Id)
    },
    kill: id => engine.docker.getContainer(id).kill({ signal: 'SIGKILL' }),
  }
}
