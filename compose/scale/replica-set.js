// Makes the three databases a replica set. At the first start only the first of them has data: root's password.
const password = require('fs').readFileSync('/run/secrets/mongodb_root', 'utf8').trim();
const members = ['mongo:27017', 'mongo-2:27017', 'mongo-3:27017'].map((host, index) => ({ _id: index, host, priority: index === 0 ? 2 : 1 }));
try {
  connect(`mongodb://root:${password}@mongo:27017/admin?directConnection=true`)
    .runCommand({ replSetInitiate: { _id: 'sluice', members } });
} catch (error) {
  if (error.codeName !== 'AlreadyInitialized') throw error;
}
