// The router fox-wamp, with the procedure echo. Usage: node fox_wamp.cjs FOLDER_OF_THE_PACKAGE

const FoxRouter = require(process.argv[2])

const router = new FoxRouter()
router.getRealm('default', (realm) => {
  realm.api().register('echo', (args) => args)
  const server = router.listenWAMP({ host: '127.0.0.1', port: 0 })
  server.on('listening', () => console.log(server.address().port, process.pid))
})
