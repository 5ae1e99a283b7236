package org.pnetcds.hapi;

import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.interceptor.api.Hook;
import ca.uhn.fhir.interceptor.api.IInterceptorService;
import ca.uhn.fhir.interceptor.api.Interceptor;
import ca.uhn.fhir.interceptor.api.Pointcut;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.packages.IPackageInstallerSvc;
import ca.uhn.fhir.jpa.packages.PackageInstallationSpec;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.ValueSetOperationProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.api.server.RequestDetails;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.exceptions.AuthenticationException;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.ServerConnector;
import org.hl7.fhir.utilities.npm.NpmPackage;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/**
 * HAPI's FHIR R4 server for tests, on a free port of this machine.
 *
 * <pre>
 * Server PAGE_SIZE TOKEN [package.tgz ...]
 * </pre>
 *
 * Once it is ready and the packages are installed it says {@code {"url": "…"}}. It answers to the bearer token only, and
 * ends with its standard input, so that it never outlives the tests.
 */
public final class Server {
    private static final int FIRST_PACKAGE = 2;
    private static final String HOST = "127.0.0.1";
    private static final String BASE = "/fhir";

    /**
     * Unless told, the installer takes terminology and profiles only. It gives resources ids of its own, so that an
     * ImplementationGuide, which refers to ids, leads nowhere and is refused.
     */
    private static final String[] INSTALLED = {
        "ActivityDefinition",
        "CapabilityStatement",
        "CodeSystem",
        "ConceptMap",
        "Library",
        "PlanDefinition",
        "StructureDefinition",
        "ValueSet"
    };

    private Server() {}

    /** Answers on standard output; whatever libraries print goes to standard error. */
    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        List<String> packages = Arrays.asList(arguments).subList(FIRST_PACKAGE, arguments.length);
        AnnotationConfigApplicationContext beans = new AnnotationConfigApplicationContext(ServerConfig.class);
        for (String file : packages) {
            install(beans.getBean(IPackageInstallerSvc.class), Path.of(file));
        }
        RestfulServer fhir = fhir(beans, Integer.parseInt(arguments[0]));
        fhir.registerInterceptor(new Token(arguments[1]));
        out.printf("{\"url\": \"http://%s:%d%s\"}%n", HOST, listen(fhir), BASE);
        while (System.in.read() >= 0) {
            // nothing is said on it: its end is the sign
        }
        System.exit(0);
    }

    private static void install(IPackageInstallerSvc installer, Path file) throws IOException {
        NpmPackage content;
        try (InputStream in = Files.newInputStream(file)) {
            content = NpmPackage.fromPackage(in);
        }
        PackageInstallationSpec wanted = new PackageInstallationSpec()
                .setName(content.name())
                .setVersion(content.version())
                .setPackageContents(Files.readAllBytes(file))
                .setInstallMode(PackageInstallationSpec.InstallModeEnum.STORE_AND_INSTALL);
        wanted.addInstallResourceTypes(INSTALLED);
        installer.install(wanted);
    }

    private static RestfulServer fhir(AnnotationConfigApplicationContext beans, int page) {
        IFhirSystemDao<?, ?> system = beans.getBean(IFhirSystemDao.class);
        RestfulServer server = new RestfulServer(system.getContext());
        server.setInterceptorService(beans.getBean(IInterceptorService.class));
        server.registerProviders(beans.getBean(ResourceProviderFactory.class).createProviders());
        server.registerProvider(beans.getBean(IJpaSystemProvider.class));
        server.registerProvider(beans.getBean(ValueSetOperationProvider.class));
        server.setServerConformanceProvider(new JpaCapabilityStatementProvider(
                server,
                system,
                beans.getBean(JpaStorageSettings.class),
                beans.getBean(ISearchParamRegistry.class),
                beans.getBean(IValidationSupport.class)));
        DatabaseBackedPagingProvider paging = beans.getBean(DatabaseBackedPagingProvider.class);
        paging.setDefaultPageSize(page);
        paging.setMaximumPageSize(page);
        server.setPagingProvider(paging);
        server.setDefaultResponseEncoding(EncodingEnum.JSON);
        return server;
    }

    private static int listen(RestfulServer fhir) throws Exception {
        org.eclipse.jetty.server.Server jetty = new org.eclipse.jetty.server.Server();
        ServerConnector connector = new ServerConnector(jetty);
        connector.setHost(HOST);
        jetty.addConnector(connector);
        ServletContextHandler servlets = new ServletContextHandler();
        servlets.addServlet(new ServletHolder(fhir), BASE + "/*");
        jetty.setHandler(servlets);
        jetty.start();
        return connector.getLocalPort();
    }

    /** Answers 401 without the right token, except to questions about the server itself. */
    @Interceptor
    public record Token(String expected) {
        @Hook(Pointcut.SERVER_INCOMING_REQUEST_POST_PROCESSED)
        public void check(RequestDetails request) {
            if (!"metadata".equals(request.getOperation())
                    && !("Bearer " + expected).equals(request.getHeader("Authorization"))) {
                throw new AuthenticationException("bearer token missing or wrong");
            }
        }
    }
}
