import java.io.FileInputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.List;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * Connects twice with one SSLContext, which keeps the session, and prints the whole response of each connection; between
 * the two it prints a line and waits for one.
 */
public class Client {
    public static void main(String[] args) throws Exception {
        String host = args[0], name = args[2], version = args[3], request = args[4], roots = args[5], pause = args[6];
        int port = Integer.parseInt(args[1]);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust(roots).getTrustManagers(), null);
        for (int i = 0; i < 2; i++) {
            if (i == 1) {
                System.out.print(pause);
                System.out.flush();
                System.in.read();
            }
            Socket plain = new Socket(host, port);
            // The name and the port are what Java keeps sessions by.
            try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, name, port, true)) {
                SSLParameters parameters = socket.getSSLParameters();
                parameters.setProtocols(new String[] {version});
                parameters.setServerNames(List.of(new SNIHostName(name)));
                parameters.setApplicationProtocols(new String[] {"http/1.1"});
                parameters.setEndpointIdentificationAlgorithm("HTTPS");
                socket.setSSLParameters(parameters);
                socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
                System.out.write(socket.getInputStream().readAllBytes());
                System.out.flush();
            }
        }
    }

    private static TrustManagerFactory trust(String roots) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (FileInputStream in = new FileInputStream(roots)) {
            store.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return factory;
    }
}
